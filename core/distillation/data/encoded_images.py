"""Images that rest as the files they came as, and are decoded when they are used. N images, B batch, C H W image."""

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
from core.distillation.data.image_decoding import FORMATS, alone_if_large
from core.distillation.data.images import Pending
from core.distillation.data.memory_mapped_images import ImagesOnDisk, Rows, moved
from core.distillation.data.resized_crop import DRAWS, Box, middle_box, random_box
from core.errors import JobFailed
from core.jobspec.data import Augmentation, ResizedCrop

MOST_THREADS = 32
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Offsets = np.ndarray[Any, np.dtype[np.int64]]


class EncodedImages(ImagesOnDisk):
    """Training images are cut out at random, or like test images: the middle, scaled to ``size`` pixels (width, height)."""

    def __init__(
        self, data: Pixels, offsets: Offsets, size: tuple[int, int], mode: str, rows: Rows
    ) -> None:
        """Image i of the file is ``data[offsets[i]:offsets[i + 1]]``; ``mode`` is Pillow's, L or RGB."""
        super().__init__(rows)
        self.data, self.offsets, self.size, self.mode = data, offsets, size, mode

    def at(self, rows: Rows) -> Self:
        return type(self)(self.data, self.offsets, self.size, self.mode, rows)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        return self._begin(indices_B, None, None)()

    def prepare(
        self, indices_B: Tensor, augmentation: Augmentation, generator: torch.Generator
    ) -> Pending:
        """Decodes in other threads from now on; boxes are drawn here, on the host."""
        host = seeds.generator("cpu", generator.initial_seed(), "boxes")
        draws_BD = torch.rand(len(indices_B), DRAWS, generator=host, dtype=torch.float64)
        decoded = self._begin(indices_B, augmentation.resized_crop, draws_BD)

        def finish() -> tuple[Tensor, Tensor]:
            images_BCHW, labels_B = decoded()
            return augment(images_BCHW, augmentation, generator), labels_B

        return finish

    def _begin(
        self, indices_B: Tensor, crop: ResizedCrop | None, draws_BD: Tensor | None
    ) -> Pending:
        picked_B, labels_B = self.rows.pick(indices_B)
        draws = [[]] * len(picked_B) if draws_BD is None else draws_BD.tolist()
        work = [
            _pool().submit(self._pixels, at, crop, draw)
            for at, draw in zip(picked_B.tolist(), draws, strict=True)
        ]
        return partial(self._gather, work, labels_B)

    def _gather(self, work: list[Future[Pixels]], labels_B: Tensor) -> tuple[Tensor, Tensor]:
        pixels_BHWC = np.stack([each.result() for each in work])
        images_BHWC = moved(torch.from_numpy(pixels_BHWC), self.labels_N.device)
        return images_BHWC.permute(0, 3, 1, 2).contiguous().float().div_(255), labels_B

    def _pixels(self, at: int, crop: ResizedCrop | None, draws: list[float]) -> Pixels:
        """[H, W, C] of the file's image ``at``."""
        data = self.data[self.offsets[at] : self.offsets[at + 1]].tobytes()
        try:
            image: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
            box = middle_box(*image.size) if crop is None else random_box(*image.size, crop, draws)
            pixels = np.asarray(cut(image, box, self.size, self.mode))
        except MemoryError:
            raise
        except Exception as error:  # the bytes are those that the import could decode: another Pillow decodes them now
            message = f"Image {at} of the data set cannot be decoded any more ({type(error).__name__}: {error})."
            raise JobFailed("unreadable_dataset", "user", message) from error
        return pixels.reshape(*pixels.shape[:2], -1)


def cut(image: Image.Image, box: Box, size: tuple[int, int], mode: str) -> Image.Image:
    """The box of an image that is not decoded yet, scaled to ``size``. JPEG is decoded no larger than twice what that needs."""
    width, height = image.size
    left, top, right, bottom = box
    image.draft(
        image.mode,
        (int(2 * size[0] * width / (right - left)), int(2 * size[1] * height / (bottom - top))),
    )
    across, down = image.width / width, image.height / height
    scaled = (
        left * across,
        top * down,
        min(right * across, image.width),
        min(bottom * down, image.height),
    )
    with alone_if_large(image):
        return image.convert(mode).resize(size, Image.Resampling.BILINEAR, scaled)


@cache
def _pool() -> ThreadPoolExecutor:
    """As many threads as torch may use for one operation."""
    return ThreadPoolExecutor(
        min(MOST_THREADS, torch.get_num_threads()), thread_name_prefix="decode"
    )
