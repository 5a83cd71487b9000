"""Images of a file that need not fit in memory: only those of a batch are read.

N images, B batch, C H W image.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from core.distillation.data.images import ImageSource


@dataclass(frozen=True, eq=False)
class ImageSelection:
    """Images of a file, in an order of their own, and their labels.

    Labels are on the host, where indices are looked up, and on the device of the batches.
    """

    file_index_N: Tensor
    host_labels_N: Tensor
    labels_N: Tensor

    @classmethod
    def all_of(cls, labels_N: Tensor) -> "ImageSelection":
        """Select every image of the file whose labels these are, in the file's order."""
        return cls(torch.arange(len(labels_N)), labels_N, labels_N)

    def to(self, device: torch.device | str) -> "ImageSelection":
        return ImageSelection(self.file_index_N, self.host_labels_N, self.labels_N.to(device))

    def subset(self, indices_B: Tensor) -> "ImageSelection":
        indices_B = indices_B.cpu()
        labels_B = self.host_labels_N[indices_B]
        return ImageSelection(
            self.file_index_N[indices_B], labels_B, labels_B.to(self.labels_N.device)
        )

    def look_up(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return indices in the file [B], on the host, and labels [B], on the device."""
        indices_B = indices_B.cpu()
        labels_B = to_device(self.host_labels_N[indices_B], self.labels_N.device)
        return self.file_index_N[indices_B], labels_B


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """Copy to the device, without waiting for the work it has queued."""
    if device.type == "cuda":
        return host.pin_memory().to(device, non_blocking=True)
    return host.to(device)


class MemoryMappedImages(ImageSource):
    """Images of a memory-mapped file. Only labels and indices are in memory."""

    def __init__(self, selection: ImageSelection) -> None:
        self.selection = selection
        self.labels_N = selection.labels_N

    @abstractmethod
    def with_selection(self, selection: ImageSelection) -> Self:
        """Return other images of the same file."""

    @property
    def index_device(self) -> torch.device:
        return torch.device("cpu")

    def to(self, device: torch.device | str) -> Self:
        return self.with_selection(self.selection.to(device))

    def subset(self, indices_B: Tensor) -> Self:
        return self.with_selection(self.selection.subset(indices_B))


class PackedImages(MemoryMappedImages):
    """Decoded images: uint8 [N, C, H, W] in a memory-mapped file."""

    def __init__(
        self, images_NCHW: "np.ndarray[Any, np.dtype[np.uint8]]", selection: ImageSelection
    ) -> None:
        super().__init__(selection)
        self.images_NCHW = images_NCHW

    def with_selection(self, selection: ImageSelection) -> Self:
        return type(self)(self.images_NCHW, selection)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        file_index_B, labels_B = self.selection.look_up(indices_B)
        pixels_BCHW = torch.from_numpy(self.images_NCHW[file_index_B.numpy()])
        return to_device(pixels_BCHW, self.labels_N.device).float().div_(255), labels_B
