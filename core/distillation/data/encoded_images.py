"""Images that stay encoded, as the files they were imported from, and are decoded when used.

N images, B batch, C H W image, D random numbers for one box.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from io import BytesIO
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.distillation import seeds
from core.distillation.data.augmentation import augment
from core.distillation.data.image_decoding import (
    FORMATS,
    UPRIGHT,
    large_image_lock,
    turn_upright,
    upright_size,
)
from core.distillation.data.images import PendingBatch
from core.distillation.data.memory_mapped_images import (
    ImageSelection,
    MemoryMappedImages,
    to_device,
)
from core.distillation.data.resized_crop import DRAWS_PER_BOX, Box, middle_box, random_box
from core.errors import JobFailed
from core.jobspec.data import Augmentation, ResizedCrop

MAX_THREADS = 32
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Offsets = np.ndarray[Any, np.dtype[np.int64]]


class EncodedImages(MemoryMappedImages):
    """Image files in a memory-mapped file; a batch has boxes of them, scaled to ``size``.

    A training image is a random box, or like a test image the middle square.
    """

    def __init__(
        self,
        data: Pixels,
        offsets: Offsets,
        size: tuple[int, int],
        mode: str,
        selection: ImageSelection,
        orientations: Pixels | None = None,
    ) -> None:
        """Image i of the file is ``data[offsets[i]:offsets[i + 1]]``.

        ``size`` is (width, height), ``mode`` is Pillow's: L or RGB. ``orientations``: how each
        image is stored, 1 to 8 as in Exif. None: all are upright.
        """
        super().__init__(selection)
        self.data = data
        self.offsets = offsets
        self.size = size
        self.mode = mode
        self.orientations = orientations

    def with_selection(self, selection: ImageSelection) -> Self:
        return type(self)(
            self.data, self.offsets, self.size, self.mode, selection, self.orientations
        )

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        return self._start_decoding(indices_B, None, None)()

    def prepare(
        self, indices_B: Tensor, augmentation: Augmentation, generator: torch.Generator
    ) -> PendingBatch:
        """Start to decode in other threads.

        Boxes are drawn here, on the host, so that they do not depend on the order of the threads.
        """
        host_generator = seeds.generator("cpu", generator.initial_seed(), "boxes")
        draws_BD = torch.rand(
            len(indices_B), DRAWS_PER_BOX, generator=host_generator, dtype=torch.float64
        )
        decoded = self._start_decoding(indices_B, augmentation.resized_crop, draws_BD)

        def finish() -> tuple[Tensor, Tensor]:
            images_BCHW, labels_B = decoded()
            return augment(images_BCHW, augmentation, generator), labels_B

        return finish

    def _start_decoding(
        self, indices_B: Tensor, crop: ResizedCrop | None, draws_BD: Tensor | None
    ) -> PendingBatch:
        file_index_B, labels_B = self.selection.look_up(indices_B)
        draws = [[]] * len(file_index_B) if draws_BD is None else draws_BD.tolist()
        futures = [
            _thread_pool().submit(self._decode, file_index, crop, draws_of_image)
            for file_index, draws_of_image in zip(file_index_B.tolist(), draws, strict=True)
        ]
        return partial(self._collect, futures, labels_B)

    def _collect(self, futures: list[Future[Pixels]], labels_B: Tensor) -> tuple[Tensor, Tensor]:
        pixels_BHWC = np.stack([future.result() for future in futures])
        images_BHWC = to_device(torch.from_numpy(pixels_BHWC), self.labels_N.device)
        return images_BHWC.permute(0, 3, 1, 2).contiguous().float().div_(255), labels_B

    def _decode(self, file_index: int, crop: ResizedCrop | None, draws: list[float]) -> Pixels:
        """Return [H, W, C] of one image of the file."""
        data = self.data[self.offsets[file_index] : self.offsets[file_index + 1]].tobytes()
        orientation = UPRIGHT if self.orientations is None else int(self.orientations[file_index])
        try:
            image: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
            size = upright_size(image.size, orientation)
            box = middle_box(*size) if crop is None else random_box(*size, crop, draws)
            pixels = np.asarray(resize_box(image, box, self.size, self.mode, orientation))
        except MemoryError:
            raise
        except Exception as error:
            # The import decoded these very bytes, so this is another version of Pillow.
            raise JobFailed(
                "unreadable_dataset",
                "user",
                f"Image {file_index} of the data set can no longer be decoded "
                f"({type(error).__name__}: {error}).",
            ) from error
        return pixels.reshape(*pixels.shape[:2], -1)


def resize_box(
    image: Image.Image,
    box: Box,
    size: tuple[int, int],
    mode: str,
    orientation: int = UPRIGHT,
) -> Image.Image:
    """Decode an image, turn it upright, and scale a box of it to ``size``.

    The box is that of the upright image. A JPEG is decoded at a reduced scale, where that is still
    twice what the box needs.
    """
    full_width, full_height = upright_size(image.size, orientation)
    left, top, right, bottom = box
    draft_width = int(2 * size[0] * full_width / (right - left))
    draft_height = int(2 * size[1] * full_height / (bottom - top))
    image.draft(image.mode, upright_size((draft_width, draft_height), orientation))
    width, height = upright_size(image.size, orientation)
    across = width / full_width
    down = height / full_height
    scaled_box = (
        left * across,
        top * down,
        min(right * across, width),
        min(bottom * down, height),
    )
    with large_image_lock(image):
        upright = turn_upright(image.convert(mode), orientation)
        return upright.resize(size, Image.Resampling.BILINEAR, scaled_box)


@cache
def _thread_pool() -> ThreadPoolExecutor:
    """Return the pool of decoding threads: as many as torch may use for one operation."""
    return ThreadPoolExecutor(
        min(MAX_THREADS, torch.get_num_threads()), thread_name_prefix="decode"
    )
