"""The rows of a batch under attack: one for each image, or one for each image and target. R rows, C H W image, K classes.

A row leaves the batch when its image is broken, by whatever target; so the batch shrinks to those still standing.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from core.distillation.evaluation.attacks import is_misclassified

LEAVE_EVERY = 5
"""Iterations between two looks at who may leave: each costs a wait for the device."""


@dataclass(frozen=True)
class Rows:
    """Subclasses add what an attack keeps of each row: tensors with R as their first dimension."""

    owners_R: Tensor
    """Which of the batch's images the row is of."""
    images_RCHW: Tensor
    labels_R: Tensor

    def where(self: "Some", keep_R: Tensor) -> "Some":
        kept: dict[str, Any] = {
            field.name: getattr(self, field.name)[keep_R] for field in fields(self)
        }
        return replace(self, **kept)


Some = TypeVar("Some", bound=Rows)


class Standing:
    """Which images of the batch are broken, and which met logits that are not finite, [B] bool each."""

    def __init__(self, images: int, device: torch.device) -> None:
        self.broken_B = torch.zeros(images, dtype=torch.bool, device=device)
        self.non_finite_B = torch.zeros(images, dtype=torch.bool, device=device)

    def judge(self, rows: Rows, logits_RK: Tensor) -> None:
        """An image with a row that is classified as something else, or as nothing, is broken."""
        self.break_rows(rows, is_misclassified(logits_RK, rows.labels_R), logits_RK)

    def break_rows(self, rows: Rows, broken_R: Tensor, logits_RK: Tensor) -> None:
        non_finite_R = ~logits_RK.isfinite().all(dim=1)
        self.broken_B.index_put_((rows.owners_R,), broken_R | non_finite_R, accumulate=True)
        self.non_finite_B.index_put_((rows.owners_R,), non_finite_R, accumulate=True)

    def thin(self, rows: Some, iteration: int) -> Some:
        """The rows of images that still stand; looks only now and then."""
        if iteration % LEAVE_EVERY:
            return rows
        keep_R = ~self.broken_B[rows.owners_R]
        return rows if keep_R.all() else rows.where(keep_R)
