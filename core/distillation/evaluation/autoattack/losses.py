"""The losses that APGD ascends, per row. R rows, K classes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits [R, K], labels [R], target classes [R]) -> [R]."""


def cross_entropy(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    """Untargeted: the target classes are ignored."""
    return functional.cross_entropy(logits_RK, labels_R, reduction="none")


def targeted_dlr(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    """-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2) (Croce and Hein, 2020, Eq. 7).

    Invariant to shifts and to scaling of the logits.
    """
    sorted_RK = logits_RK.sort(dim=1, descending=True).values
    spread_R = sorted_RK[:, 0] - (sorted_RK[:, 2] + sorted_RK[:, 3]) / 2
    return targeted_margin(logits_RK, labels_R, targets_R) / (spread_R + 1e-12)


def targeted_margin(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    """z_t - z_y: for fewer than four classes, where the DLR loss is not defined."""
    rows_R = torch.arange(len(logits_RK), device=logits_RK.device)
    return logits_RK[rows_R, targets_R] - logits_RK[rows_R, labels_R]
