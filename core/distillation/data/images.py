"""Images: bytes where they rest, floats in [0, 1] where they are used. N images, B batch, C H W image."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.distillation.data.augmentation import augment
from core.jobspec.data import Augmentation, DatasetDescription

Pending = Callable[[], tuple[Tensor, Tensor]]
"""A batch under preparation: called once, it gives images [B, C, H, W] and labels [B]."""


class ImageSource(ABC):
    """Images with one int64 label each, wherever they rest; batches of them come on one device, that of the labels."""

    labels_N: Tensor

    @property
    def index_device(self) -> torch.device:
        """Where indices are looked up: from there nothing has to wait for them."""
        return self.labels_N.device

    def __len__(self) -> int:
        return len(self.labels_N)

    @abstractmethod
    def to(self, device: torch.device | str) -> "ImageSource":
        """The same images with their batches on that device."""

    @abstractmethod
    def subset(self, indices_B: Tensor) -> "ImageSource":
        """Those images, in that order."""

    @abstractmethod
    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        """Float images [B, C, H, W] in [0, 1], and labels [B]."""

    def prepare(
        self, indices_B: Tensor, augmentation: Augmentation, generator: torch.Generator
    ) -> Pending:
        """A batch, augmented; all chance comes from ``generator``, which must be on the batches' device.

        Whatever can be done beside other work has begun when this returns.
        """

        def finish() -> tuple[Tensor, Tensor]:
            images_BCHW, labels_B = self.batch(indices_B)
            return augment(images_BCHW, augmentation, generator), labels_B

        return finish


@dataclass(frozen=True, eq=False)
class Images(ImageSource):
    """In memory, as uint8, 0..255, with one int64 label each; both on one device."""

    images_NCHW: Tensor
    labels_N: Tensor

    def __post_init__(self) -> None:
        if self.images_NCHW.dtype != torch.uint8 or self.labels_N.dtype != torch.int64:
            raise TypeError(
                f"Images are uint8 with int64 labels, not {self.images_NCHW.dtype} with {self.labels_N.dtype}."
            )
        if self.images_NCHW.ndim != 4 or self.labels_N.shape != self.images_NCHW.shape[:1]:
            raise ValueError(
                f"{tuple(self.labels_N.shape)} labels do not go with images of shape {tuple(self.images_NCHW.shape)}: "
                "[N] and [N, C, H, W] do."
            )

    def to(self, device: torch.device | str) -> "Images":
        return Images(self.images_NCHW.to(device), self.labels_N.to(device))

    def subset(self, indices_B: Tensor) -> "Images":
        indices_B = indices_B.to(self.labels_N.device)
        return Images(self.images_NCHW[indices_B], self.labels_N[indices_B])

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        chosen = self.subset(indices_B)
        return chosen.images_NCHW.float().div_(255), chosen.labels_N


@dataclass(frozen=True, eq=False)
class DataSet:
    train: ImageSource
    test: ImageSource
    description: DatasetDescription


@dataclass(frozen=True, eq=False)
class Found:
    """A data set read from somebody's files, and written; and what the import's report says of the reading."""

    description: DatasetDescription
    layout: str
    """A sentence: how the files were understood."""
    train_K: Tensor
    """How many training images each class has."""
    test_K: Tensor
    ignored_files: int = 0
