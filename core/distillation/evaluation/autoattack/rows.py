"""The rows of a batch under attack, and which of the batch's images are robust so far.

An image is *robust so far* until any attack finds an adversarial image that the network
misclassifies within the radius. A row is one image, or one (image, target class) pair: a targeted
attack works on several rows of one image. Once an image is misclassified all its rows leave the
batch, whatever their target, so the batch shrinks to the images that are robust so far.

R rows, B images of the batch, C H W image, K classes.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from core.distillation.evaluation.attacks import is_misclassified

DROP_EVERY = 5
"""Iterations between two removals of rows: each one waits for the device."""


@dataclass(frozen=True)
class Rows:
    """Rows under attack. Subclasses add an attack's state: tensors with R as first dimension."""

    image_index_R: Tensor
    """Index in the batch of each row's image."""
    images_RCHW: Tensor
    """The clean images."""
    labels_R: Tensor

    def select(self: "AnyRows", selection_R: Tensor) -> "AnyRows":
        """Return the rows of a mask [R] bool, or at indices."""
        selected: dict[str, Any] = {
            field.name: getattr(self, field.name)[selection_R] for field in fields(self)
        }
        return replace(self, **selected)


AnyRows = TypeVar("AnyRows", bound=Rows)


class BatchRobustness:
    """Which images of a batch are misclassified so far, and which had non-finite logits."""

    def __init__(self, images: int, device: torch.device) -> None:
        self.misclassified_B = torch.zeros(images, dtype=torch.bool, device=device)
        self.non_finite_B = torch.zeros(images, dtype=torch.bool, device=device)

    @property
    def robust_B(self) -> Tensor:
        return ~self.misclassified_B

    def record_logits(self, rows: Rows, logits_RK: Tensor) -> None:
        """Record the images with a row whose logits are a misclassification, or not finite."""
        self.record_misclassified(rows, is_misclassified(logits_RK, rows.labels_R), logits_RK)

    def record_misclassified(self, rows: Rows, misclassified_R: Tensor, logits_RK: Tensor) -> None:
        """Record the images with a row in ``misclassified_R``, or with logits not finite."""
        non_finite_R = ~logits_RK.isfinite().all(dim=1)
        # Several rows may be of one image: with accumulate, one of them is enough.
        index_R = (rows.image_index_R,)
        self.misclassified_B.index_put_(index_R, misclassified_R | non_finite_R, accumulate=True)
        self.non_finite_B.index_put_(index_R, non_finite_R, accumulate=True)

    def drop_misclassified(self, rows: AnyRows, iteration: int) -> AnyRows:
        """Return the rows of images that are robust so far; in most iterations, all rows."""
        if iteration % DROP_EVERY:
            return rows
        robust_R = self.robust_B[rows.image_index_R]
        return rows if robust_R.all() else rows.select(robust_R)
