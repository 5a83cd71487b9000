"""FAB, targeted (Croce and Hein, ICML 2020): small steps onto the linearised boundary, so as to cross it close to the image.

R rows, D pixels of an image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.distillation.evaluation.attacks import is_misclassified
from core.distillation.evaluation.autoattack.norms import Norm, length
from core.distillation.evaluation.autoattack.rows import Rows, Standing

ALPHA_MAX = 0.1
OVERSHOOT = 1.05
BACK = 0.9
MOST_STEPS, PRECISION = 50, 1e-6
"""Of the search for a point on the plane; it takes three to ten. Steps shorter than that share of the way are rounding."""
SMALLEST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Crossing(Rows):
    targets_R: Tensor
    now_RCHW: Tensor


class Fab:
    def __init__(self, network: nn.Module, *, norm: Norm, radius: float, iterations: int) -> None:
        self.network, self.norm, self.radius, self.iterations = network, norm, radius, iterations
        self.onto_plane = onto_plane_linf if norm == "linf" else onto_plane_l2

    def search(self, rows: Rows, targets_R: Tensor, standing: Standing) -> Iterator[None]:
        crossing = Crossing(
            rows.owners_R, rows.images_RCHW, rows.labels_R, targets_R, rows.images_RCHW
        )
        for iteration in range(self.iterations):
            crossing = standing.thin(crossing, iteration)
            if not len(crossing.owners_R):
                break
            crossing = self.step(crossing, standing)
            yield

    def step(self, it: Crossing, standing: Standing) -> Crossing:
        """Between the projections of the present point and of the image onto the plane; then back a little, if it has crossed."""
        difference_R, gradient_RCHW = self.look(it)
        now_RD, image_RD, normal_RD = (
            each.flatten(1) for each in (it.now_RCHW, it.images_RCHW, gradient_RCHW)
        )
        offset_R = (normal_RD * now_RD).sum(dim=1) - difference_R
        both = self.onto_plane(
            torch.cat([now_RD, image_RD]), normal_RD.repeat(2, 1), offset_R.repeat(2)
        )
        from_now, from_image = (each.view_as(it.now_RCHW) for each in both.chunk(2))
        far_now, far_image = (
            length(each, self.norm).clamp_min(1e-8) for each in (from_now, from_image)
        )
        alpha = (far_now / (far_now + far_image)).clamp(0, ALPHA_MAX)
        ahead = (1 - alpha) * (it.now_RCHW + OVERSHOOT * from_now) + alpha * (
            it.images_RCHW + OVERSHOOT * from_image
        )
        ahead = ahead.clamp(0, 1)
        with torch.no_grad():
            logits_RK = self.network(ahead)
        crossed_R = is_misclassified(logits_RK, it.labels_R)
        inside_R = length(ahead - it.images_RCHW, self.norm).flatten() <= self.radius
        standing.break_rows(it, crossed_R & inside_R, logits_RK)
        back = it.images_RCHW + BACK * (ahead - it.images_RCHW)
        return replace(it, now_RCHW=torch.where(crossed_R[:, None, None, None], back, ahead))

    def look(self, it: Crossing) -> tuple[Tensor, Tensor]:
        """z_t - z_y at the present points, [R], and its gradient, [R, C, H, W]."""
        every_R = torch.arange(len(it.labels_R), device=it.labels_R.device)
        with torch.enable_grad():
            now_RCHW = it.now_RCHW.detach().requires_grad_()
            logits_RK = self.network(now_RCHW)
            difference_R = logits_RK[every_R, it.targets_R] - logits_RK[every_R, it.labels_R]
            (gradient_RCHW,) = torch.autograd.grad(difference_R.sum(), now_RCHW)
        return difference_R.detach(), gradient_RCHW


def onto_plane_linf(points_RD: Tensor, normals_RD: Tensor, offsets_R: Tensor) -> Tensor:
    """The shortest moves in L-infinity, [R, D], from points in [0, 1]^D to w . z = b within [0, 1]^D, or as near as that gets.

    Every pixel moves by the same amount t toward the plane, or to the end of its room if that is nearer: the sum of
    |w| min(t, room) must be the gap.
    """
    gap_R, toward_RD, room_RD = _way(points_RD, normals_RD, offsets_R)
    return toward_RD * torch.minimum(_time(normals_RD.abs(), room_RD, gap_R), room_RD)


def onto_plane_l2(points_RD: Tensor, normals_RD: Tensor, offsets_R: Tensor) -> Tensor:
    """As ``onto_plane_linf``, shortest in L2: pixel i moves by t |w_i|, or to the end of its room, reached at room / |w_i|."""
    gap_R, toward_RD, room_RD = _way(points_RD, normals_RD, offsets_R)
    slope_RD = normals_RD.abs()
    until_RD = torch.where(slope_RD > 1e-8, room_RD / slope_RD.clamp_min(1e-8), 0.0)
    return toward_RD * torch.minimum(_time(slope_RD.square(), until_RD, gap_R) * slope_RD, room_RD)


def _way(points_RD: Tensor, normals_RD: Tensor, offsets_R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far it is to the plane, [R], which way each pixel has to go, and how far it can, [R, D]."""
    gap_R = offsets_R - (normals_RD * points_RD).sum(dim=1)
    toward_RD = normals_RD.sign() * gap_R.sign()[:, None]
    return gap_R.abs(), toward_RD, torch.where(toward_RD > 0, 1 - points_RD, points_RD)


def _time(rate_RD: Tensor, until_RD: Tensor, gap_R: Tensor) -> Tensor:
    """The t, [R, 1], at which the sum of rate min(t, until) is the gap, or from which on it grows no more.

    The sum is piecewise linear and concave in t, so Newton's steps from 0 never go too far, and end on the right piece.
    """
    time_R1 = torch.zeros_like(gap_R)[:, None]
    for _ in range(MOST_STEPS):
        missing_R = gap_R - (rate_RD * torch.minimum(time_R1, until_RD)).sum(dim=1)
        slope_R = (rate_RD * (until_RD > time_R1)).sum(dim=1)
        step_R = torch.where(slope_R > 0, missing_R / slope_R.clamp_min(SMALLEST), 0.0)
        further_R = step_R > PRECISION * time_R1.squeeze(1)
        if not further_R.any():
            break
        time_R1 = time_R1 + (step_R * further_R)[:, None]
    return time_R1
