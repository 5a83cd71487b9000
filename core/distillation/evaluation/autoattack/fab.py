"""Targeted FAB (Croce and Hein, ICML 2020): small steps onto the linearized decision boundary.

It crosses the boundary close to the image, instead of maximizing a loss within a ball.
R rows, C H W image, D its pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.distillation.evaluation.attacks import is_misclassified
from core.distillation.evaluation.autoattack.norms import Norm, length
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows

ALPHA_MAX = 0.1
OVERSHOOT = 1.05
BACKWARD_STEP = 0.9
MAX_NEWTON_STEPS = 50
"""Of the search for a point on the plane, which takes three to ten."""
PRECISION = 1e-6
"""Newton steps below this share of the value are rounding errors."""
SMALLEST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class FabRows(Rows):
    targets_R: Tensor
    current_RCHW: Tensor


class Fab:
    def __init__(self, network: nn.Module, *, norm: Norm, radius: float, iterations: int) -> None:
        self.network = network
        self.norm = norm
        self.radius = radius
        self.iterations = iterations

    def search(self, rows: Rows, targets_R: Tensor, robustness: BatchRobustness) -> Iterator[None]:
        """Attack the rows, and record misclassified images. Yields after each iteration."""
        iterates = FabRows(
            rows.image_index_R, rows.images_RCHW, rows.labels_R, targets_R, rows.images_RCHW
        )
        for iteration in range(self.iterations):
            iterates = robustness.drop_misclassified(iterates, iteration)
            if not len(iterates.image_index_R):
                break
            iterates = self.step(iterates, robustness)
            yield

    def step(self, rows: FabRows, robustness: BatchRobustness) -> FabRows:
        """Move between two projections onto the plane: of the iterate, and of the image.

        An iterate that has crossed the boundary then moves back toward the image.
        """
        from_current_RCHW, from_image_RCHW = self.moves_onto_boundary(rows)
        current_length = length(from_current_RCHW, self.norm).clamp_min(1e-8)
        image_length = length(from_image_RCHW, self.norm).clamp_min(1e-8)
        alpha = (current_length / (current_length + image_length)).clamp(0, ALPHA_MAX)
        from_current_RCHW = rows.current_RCHW + OVERSHOOT * from_current_RCHW
        from_image_RCHW = rows.images_RCHW + OVERSHOOT * from_image_RCHW
        next_RCHW = ((1 - alpha) * from_current_RCHW + alpha * from_image_RCHW).clamp(0, 1)
        with torch.no_grad():
            logits_RK = self.network(next_RCHW)
        crossed_R = is_misclassified(logits_RK, rows.labels_R)
        inside_R = length(next_RCHW - rows.images_RCHW, self.norm).flatten() <= self.radius
        robustness.record_misclassified(rows, crossed_R & inside_R, logits_RK)
        back_RCHW = rows.images_RCHW + BACKWARD_STEP * (next_RCHW - rows.images_RCHW)
        crossed_R111 = crossed_R[:, None, None, None]
        return replace(rows, current_RCHW=torch.where(crossed_R111, back_RCHW, next_RCHW))

    def moves_onto_boundary(self, rows: FabRows) -> tuple[Tensor, Tensor]:
        """Return the moves [R, C, H, W] of iterates, and of images, onto the linearized boundary.

        The boundary is linearized at the iterate: w . x = b with w the gradient of z_t - z_y.
        """
        difference_R, gradient_RCHW = self.logit_difference(rows)
        current_RD = rows.current_RCHW.flatten(1)
        normals_RD = gradient_RCHW.flatten(1)
        offsets_R = (normals_RD * current_RD).sum(dim=1) - difference_R
        onto_plane = onto_plane_linf if self.norm == "linf" else onto_plane_l2
        # One call for both kinds of points halves the number of small operations.
        moves = onto_plane(
            torch.cat([current_RD, rows.images_RCHW.flatten(1)]),
            normals_RD.repeat(2, 1),
            offsets_R.repeat(2),
        )
        from_current_RD, from_image_RD = moves.chunk(2)
        shape = rows.current_RCHW
        return from_current_RD.view_as(shape), from_image_RD.view_as(shape)

    def logit_difference(self, rows: FabRows) -> tuple[Tensor, Tensor]:
        """Return z_t - z_y at the iterates, [R], and its gradient, [R, C, H, W]."""
        rows_R = torch.arange(len(rows.labels_R), device=rows.labels_R.device)
        with torch.enable_grad():
            current_RCHW = rows.current_RCHW.detach().requires_grad_()
            logits_RK = self.network(current_RCHW)
            difference_R = logits_RK[rows_R, rows.targets_R] - logits_RK[rows_R, rows.labels_R]
            (gradient_RCHW,) = torch.autograd.grad(difference_R.sum(), current_RCHW)
        return difference_R.detach(), gradient_RCHW


def onto_plane_linf(points_RD: Tensor, normals_RD: Tensor, offsets_R: Tensor) -> Tensor:
    """Return the shortest moves in L-infinity, [R, D], from points in [0, 1]^D onto planes.

    The plane is w . z = b within [0, 1]^D; where that is out of reach, as near to it as possible.
    Every pixel moves by the same amount t toward the plane, or to the end of its range if that is
    nearer: the sum of |w| min(t, range) must equal the gap.
    """
    gaps_R, signs_RD, ranges_RD = _gaps_and_ranges(points_RD, normals_RD, offsets_R)
    amounts_R1 = _solve_amount(normals_RD.abs(), ranges_RD, gaps_R)
    return signs_RD * torch.minimum(amounts_R1, ranges_RD)


def onto_plane_l2(points_RD: Tensor, normals_RD: Tensor, offsets_R: Tensor) -> Tensor:
    """Return the shortest moves in L2, otherwise as ``onto_plane_linf``.

    Pixel i moves by t |w_i|, or to the end of its range, which it reaches at t = range / |w_i|.
    """
    gaps_R, signs_RD, ranges_RD = _gaps_and_ranges(points_RD, normals_RD, offsets_R)
    slopes_RD = normals_RD.abs()
    limits_RD = torch.where(slopes_RD > 1e-8, ranges_RD / slopes_RD.clamp_min(1e-8), 0.0)
    amounts_R1 = _solve_amount(slopes_RD.square(), limits_RD, gaps_R)
    return signs_RD * torch.minimum(amounts_R1 * slopes_RD, ranges_RD)


def _gaps_and_ranges(
    points_RD: Tensor, normals_RD: Tensor, offsets_R: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return gaps to the planes [R], signs of the moves toward them, and ranges, [R, D] each."""
    gaps_R = offsets_R - (normals_RD * points_RD).sum(dim=1)
    signs_RD = normals_RD.sign() * gaps_R.sign()[:, None]
    return gaps_R.abs(), signs_RD, torch.where(signs_RD > 0, 1 - points_RD, points_RD)


def _solve_amount(rates_RD: Tensor, limits_RD: Tensor, gaps_R: Tensor) -> Tensor:
    """Return t, [R, 1], at which the sum of rate min(t, limit) is the gap, or stops growing.

    The sum is piecewise linear and concave in t, so Newton's method from 0 never overshoots, and
    ends on the right piece.
    """
    amounts_R1 = torch.zeros_like(gaps_R)[:, None]
    for _ in range(MAX_NEWTON_STEPS):
        missing_R = gaps_R - (rates_RD * torch.minimum(amounts_R1, limits_RD)).sum(dim=1)
        slopes_R = (rates_RD * (limits_RD > amounts_R1)).sum(dim=1)
        steps_R = torch.where(slopes_R > 0, missing_R / slopes_R.clamp_min(SMALLEST), 0.0)
        moving_R = steps_R > PRECISION * amounts_R1.squeeze(1)
        if not moving_R.any():
            break
        amounts_R1 = amounts_R1 + (steps_R * moving_R)[:, None]
    return amounts_R1
