"""Auto-PGD (Croce and Hein, ICML 2020): projected ascent with momentum, whose step size halves where it no longer pays."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.distillation.evaluation.autoattack.losses import Loss
from core.distillation.evaluation.autoattack.norms import Norm, project, random_start, steepest
from core.distillation.evaluation.autoattack.rows import Rows, Standing

RHO = 0.75
MOMENTUM = 0.75
FIRST_STEP = 2.0
"""In radii."""
FIRST_CHECK, CHECK_SHRINKS, LAST_CHECK = 0.22, 0.03, 0.06
"""Iterations between two looks at the step size, as shares of all: at first, less each time, at least."""


@dataclass(frozen=True)
class Climbing(Rows):
    """Where each row stands, and stood when its loss was highest."""

    targets_R: Tensor
    now_RCHW: Tensor
    before_RCHW: Tensor
    gradient_RCHW: Tensor
    best_RCHW: Tensor
    best_gradient_RCHW: Tensor
    best_loss_R: Tensor
    last_loss_R: Tensor
    rises_R: Tensor
    """Iterations since the last check in which the loss rose."""
    checked_loss_R: Tensor
    """The highest loss at the last check."""
    halved_R: Tensor
    """Whether the last check halved the step."""
    step_R111: Tensor


class Apgd:
    def __init__(
        self, network: nn.Module, loss: Loss, *, norm: Norm, radius: float, iterations: int
    ) -> None:
        self.network, self.loss = network, loss
        self.norm, self.radius, self.iterations = norm, radius, iterations

    def search(
        self, rows: Rows, targets_R: Tensor, standing: Standing, generator: torch.Generator
    ) -> Iterator[None]:
        climbing = self.begin(rows, targets_R, standing, generator)
        interval, until_check = (max(int(FIRST_CHECK * self.iterations), 1),) * 2
        for iteration in range(self.iterations):
            climbing = standing.thin(climbing, iteration)
            if not len(climbing.owners_R):
                break
            climbing = self.step(climbing, MOMENTUM if iteration else 1.0, standing)
            until_check -= 1
            if until_check == 0:
                climbing = check(climbing, interval)
                interval = max(
                    interval - max(int(CHECK_SHRINKS * self.iterations), 1),
                    int(LAST_CHECK * self.iterations),
                    1,
                )
                until_check = interval
            yield

    def begin(
        self, rows: Rows, targets_R: Tensor, standing: Standing, generator: torch.Generator
    ) -> Climbing:
        start_RCHW = random_start(rows.images_RCHW, self.radius, self.norm, generator)
        gradient_RCHW, loss_R, logits_RK = self.look(start_RCHW, rows.labels_R, targets_R)
        standing.judge(rows, logits_RK)
        return Climbing(
            rows.owners_R,
            rows.images_RCHW,
            rows.labels_R,
            targets_R=targets_R,
            now_RCHW=start_RCHW,
            before_RCHW=start_RCHW,
            gradient_RCHW=gradient_RCHW,
            best_RCHW=start_RCHW,
            best_gradient_RCHW=gradient_RCHW,
            best_loss_R=loss_R,
            last_loss_R=torch.zeros_like(
                loss_R
            ),  # not the start's: so the authors' code compares the first iterate
            rises_R=torch.zeros_like(loss_R),
            checked_loss_R=loss_R,
            halved_R=torch.ones_like(loss_R, dtype=torch.bool),
            step_R111=torch.full_like(loss_R, FIRST_STEP * self.radius)[:, None, None, None],
        )

    def look(
        self, images_RCHW: Tensor, labels_R: Tensor, targets_R: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient, loss and logits at the images."""
        with torch.enable_grad():
            images_RCHW = images_RCHW.detach().requires_grad_()
            logits_RK = self.network(images_RCHW)
            loss_R = self.loss(logits_RK, labels_R, targets_R)
            (gradient_RCHW,) = torch.autograd.grad(loss_R.sum(), images_RCHW)
        return (
            gradient_RCHW.contiguous(),
            loss_R.detach(),
            logits_RK.detach(),
        )  # the network may compute in another layout

    def step(self, it: Climbing, share: float, standing: Standing) -> Climbing:
        """One step along the gradient, ``share`` of it, and the rest of the last step again."""
        ahead = it.now_RCHW + it.step_R111 * steepest(it.gradient_RCHW, self.norm)
        ahead = project(ahead, it.images_RCHW, self.radius, self.norm)
        ahead = (
            it.now_RCHW
            + share * (ahead - it.now_RCHW)
            + (1 - share) * (it.now_RCHW - it.before_RCHW)
        )
        ahead = project(ahead, it.images_RCHW, self.radius, self.norm)
        gradient_RCHW, loss_R, logits_RK = self.look(ahead, it.labels_R, it.targets_R)
        standing.judge(it, logits_RK)
        higher_R = loss_R > it.best_loss_R
        higher_R111 = higher_R[:, None, None, None]
        return replace(
            it,
            now_RCHW=ahead,
            before_RCHW=it.now_RCHW,
            gradient_RCHW=gradient_RCHW,
            best_RCHW=torch.where(higher_R111, ahead, it.best_RCHW),
            best_gradient_RCHW=torch.where(higher_R111, gradient_RCHW, it.best_gradient_RCHW),
            best_loss_R=torch.where(higher_R, loss_R, it.best_loss_R),
            last_loss_R=loss_R,
            rises_R=it.rises_R + (loss_R > it.last_loss_R),
        )


def check(it: Climbing, interval: int) -> Climbing:
    """Where the loss rose too seldom, or the best is what it was and the step too: half the step, from the best point on."""
    halve_R = (it.rises_R <= RHO * interval) | (
        ~it.halved_R & (it.checked_loss_R >= it.best_loss_R)
    )
    halve_R111 = halve_R[:, None, None, None]
    return replace(
        it,
        now_RCHW=torch.where(halve_R111, it.best_RCHW, it.now_RCHW),
        gradient_RCHW=torch.where(halve_R111, it.best_gradient_RCHW, it.gradient_RCHW),
        rises_R=torch.zeros_like(it.rises_R),
        checked_loss_R=it.best_loss_R,
        halved_R=halve_R,
        step_R111=torch.where(halve_R111, it.step_R111 / 2, it.step_R111),
    )
