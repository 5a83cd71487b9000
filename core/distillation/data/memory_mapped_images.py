"""Images of a file that need not fit in memory: only those of a batch are read. N images, B batch, C H W image."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from core.distillation.data.images import ImageSource


@dataclass(frozen=True, eq=False)
class Rows:
    """Which of the file's images, in order, with their labels: on the host, to be looked up, and where batches are wanted."""

    picked_N: Tensor
    host_labels_N: Tensor
    labels_N: Tensor

    @classmethod
    def all_of(cls, labels_N: Tensor) -> "Rows":
        return cls(torch.arange(len(labels_N)), labels_N, labels_N)

    def to(self, device: torch.device | str) -> "Rows":
        return Rows(self.picked_N, self.host_labels_N, self.labels_N.to(device))

    def subset(self, indices_B: Tensor) -> "Rows":
        indices_B = indices_B.cpu()
        labels_B = self.host_labels_N[indices_B]
        return Rows(self.picked_N[indices_B], labels_B, labels_B.to(self.labels_N.device))

    def pick(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        """Places in the file [B], on the host, and labels [B] on the device."""
        indices_B = indices_B.cpu()
        return self.picked_N[indices_B], moved(self.host_labels_N[indices_B], self.labels_N.device)


def moved(host: Tensor, device: torch.device) -> Tensor:
    """To the device, without waiting for what it is doing."""
    return (
        host.pin_memory().to(device, non_blocking=True)
        if device.type == "cuda"
        else host.to(device)
    )


class ImagesOnDisk(ImageSource):
    """Labels are in memory."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.labels_N = rows, rows.labels_N

    @abstractmethod
    def at(self, rows: Rows) -> Self:
        """Others of the same file's images."""

    @property
    def index_device(self) -> torch.device:
        return torch.device("cpu")

    def to(self, device: torch.device | str) -> Self:
        return self.at(self.rows.to(device))

    def subset(self, indices_B: Tensor) -> Self:
        return self.at(self.rows.subset(indices_B))


class MappedImages(ImagesOnDisk):
    """Decoded: uint8 [N, C, H, W] in a memory-mapped file."""

    def __init__(self, images_NCHW: "np.ndarray[Any, np.dtype[np.uint8]]", rows: Rows) -> None:
        super().__init__(rows)
        self.images_NCHW = images_NCHW

    def at(self, rows: Rows) -> Self:
        return type(self)(self.images_NCHW, rows)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        picked_B, labels_B = self.rows.pick(indices_B)
        images_BCHW = moved(
            torch.from_numpy(self.images_NCHW[picked_B.numpy()]), self.labels_N.device
        )
        return images_BCHW.float().div_(255), labels_B
