"""What APGD climbs, per row. R rows, K classes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as cross_entropy_of

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits [R, K], labels [R], targets [R]) -> [R]."""


def cross_entropy(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    return cross_entropy_of(logits_RK, labels_R, reduction="none")


def targeted_dlr(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    """-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2): shift and scale of the logits do not matter. Croce and Hein, 2020, Eq. 7."""
    sorted_RK = logits_RK.sort(dim=1, descending=True).values
    spread_R = sorted_RK[:, 0] - (sorted_RK[:, 2] + sorted_RK[:, 3]) / 2
    return targeted_margin(logits_RK, labels_R, targets_R) / (spread_R + 1e-12)


def targeted_margin(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    """z_t - z_y: for networks of fewer than four classes, where the DLR loss is not defined."""
    every_R = torch.arange(len(logits_RK), device=logits_RK.device)
    return logits_RK[every_R, targets_R] - logits_RK[every_R, labels_R]
