"""A data set in memory: bytes where it rests, floats in [0, 1] where it is used. N images, B batch, C H W image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.spec.data import DatasetDescription


@dataclass(frozen=True, eq=False)
class Images:
    """Images as uint8, 0..255, with one int64 label each; both on one device."""

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

    def __len__(self) -> int:
        return len(self.labels_N)

    def to(self, device: torch.device | str) -> "Images":
        return Images(self.images_NCHW.to(device), self.labels_N.to(device))

    def subset(self, indices_B: Tensor) -> "Images":
        indices_B = indices_B.to(self.labels_N.device)
        return Images(self.images_NCHW[indices_B], self.labels_N[indices_B])

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        """Float images [B, C, H, W] in [0, 1], and labels [B]."""
        chosen = self.subset(indices_B)
        return chosen.images_NCHW.float().div_(255), chosen.labels_N


@dataclass(frozen=True, eq=False)
class DataSet:
    train: Images
    test: Images
    description: DatasetDescription


@dataclass(frozen=True, eq=False)
class Found:
    """A data set read from somebody's files, and what the import's report says of the reading."""

    dataset: DataSet
    layout: str
    """A sentence: how the files were understood."""
    ignored_files: int = 0
