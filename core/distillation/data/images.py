"""Images: bytes where they are stored, floats in [0, 1] in a batch.

N images, B batch, C H W image.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.distillation.data.augmentation import augment
from core.jobspec.data import Augmentation, DatasetDescription

PendingBatch = Callable[[], tuple[Tensor, Tensor]]
"""A batch being prepared. To be called once: returns images [B, C, H, W] and labels [B]."""


class ImageSource(ABC):
    """Images with one int64 label each, wherever they are stored.

    Batches are on the device of the labels.
    """

    labels_N: Tensor

    @property
    def index_device(self) -> torch.device:
        """Device on which indices are looked up: indices that are there already cost no wait."""
        return self.labels_N.device

    def __len__(self) -> int:
        return len(self.labels_N)

    @abstractmethod
    def to(self, device: torch.device | str) -> "ImageSource":
        """Return the same images, with batches on that device."""

    @abstractmethod
    def subset(self, indices_B: Tensor) -> "ImageSource":
        """Return the images at these indices, in their order."""

    @abstractmethod
    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return float images [B, C, H, W] in [0, 1], and labels [B]."""

    def prepare(
        self, indices_B: Tensor, augmentation: Augmentation, generator: torch.Generator
    ) -> PendingBatch:
        """Start to prepare an augmented batch, as far as that can happen in other threads.

        All randomness comes from ``generator``, which must be on the batches' device.
        """

        def finish() -> tuple[Tensor, Tensor]:
            images_BCHW, labels_B = self.batch(indices_B)
            return augment(images_BCHW, augmentation, generator), labels_B

        return finish


@dataclass(frozen=True, eq=False)
class Images(ImageSource):
    """Images in memory: uint8 [N, C, H, W], 0..255, and int64 labels [N], on one device."""

    images_NCHW: Tensor
    labels_N: Tensor

    def __post_init__(self) -> None:
        if self.images_NCHW.dtype != torch.uint8 or self.labels_N.dtype != torch.int64:
            raise TypeError(
                "Images must be uint8 and labels int64, "
                f"not {self.images_NCHW.dtype} and {self.labels_N.dtype}."
            )
        if self.images_NCHW.ndim != 4 or self.labels_N.shape != self.images_NCHW.shape[:1]:
            raise ValueError(
                "Images must have shape [N, C, H, W] and labels [N], "
                f"not {list(self.images_NCHW.shape)} and {list(self.labels_N.shape)}."
            )

    def to(self, device: torch.device | str) -> "Images":
        return Images(self.images_NCHW.to(device), self.labels_N.to(device))

    def subset(self, indices_B: Tensor) -> "Images":
        indices_B = indices_B.to(self.labels_N.device)
        return Images(self.images_NCHW[indices_B], self.labels_N[indices_B])

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        subset = self.subset(indices_B)
        return subset.images_NCHW.float().div_(255), subset.labels_N


@dataclass(frozen=True, eq=False)
class DataSet:
    train: ImageSource
    test: ImageSource
    description: DatasetDescription
