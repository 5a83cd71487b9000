"""Images: bytes where they rest, floats in [0, 1] where they are used. N images, B batch, C H W image."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.distillation.data.augmentation import augment
from core.spec.data import Augmentation, DatasetDescription


class ImageSource(ABC):
    """Images with one int64 label each, wherever they rest; batches of them come on one device, that of the labels."""

    labels_N: Tensor

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

    def training_batch(self, indices_B: Tensor, augmentation: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch, augmented; all chance comes from ``generator``, which must be on the batches' device."""
        images_BCHW, labels_B = self.batch(indices_B)
        return augment(images_BCHW, augmentation, generator), labels_B


@dataclass(frozen=True, eq=False)
class Images(ImageSource):
    """In memory, as uint8, 0..255, with one int64 label each; both on one device."""

    images_NCHW: Tensor
    labels_N: Tensor

    def __post_init__(self) -> None:
        if self.images_NCHW.dtype != torch.uint8 or self.labels_N.dtype != torch.int64:
            raise TypeError(f"Images are uint8 with int64 labels, not {self.images_NCHW.dtype} with {self.labels_N.dtype}.")
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
class MappedImages(ImageSource):
    """On disk, as uint8 [N, C, H, W] in a memory-mapped file: only the pages of a batch are read. Labels are in memory."""

    images_NCHW: "np.ndarray[Any, np.dtype[np.uint8]]"
    labels_N: Tensor
    chosen_N: Tensor | None = None
    """Which of the file's images these are, in order; None: all."""

    def to(self, device: torch.device | str) -> "MappedImages":
        return MappedImages(self.images_NCHW, self.labels_N.to(device), self.chosen_N)

    def subset(self, indices_B: Tensor) -> "MappedImages":
        indices_B = indices_B.cpu()
        chosen = indices_B if self.chosen_N is None else self.chosen_N[indices_B]
        return MappedImages(self.images_NCHW, self.labels_N[indices_B.to(self.labels_N.device)], chosen)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        indices_B = indices_B.cpu()
        rows = indices_B if self.chosen_N is None else self.chosen_N[indices_B]
        images_BCHW = torch.from_numpy(self.images_NCHW[rows.numpy()])
        device = self.labels_N.device
        if device.type == "cuda":
            images_BCHW = images_BCHW.pin_memory().to(device, non_blocking=True)
        return images_BCHW.float().div_(255), self.labels_N[indices_B.to(device)]


@dataclass(frozen=True, eq=False)
class DataSet:
    train: ImageSource
    test: ImageSource
    description: DatasetDescription


@dataclass(frozen=True, eq=False)
class Found:
    """A data set read from somebody's files, and what the import's report says of the reading."""

    train: Images
    test: Images
    description: DatasetDescription
    layout: str
    """A sentence: how the files were understood."""
    ignored_files: int = 0
