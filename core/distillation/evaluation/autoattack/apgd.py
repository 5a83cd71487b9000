"""Auto-PGD (Croce and Hein, ICML 2020): projected ascent with momentum and an adaptive step size.

The step size is halved where it no longer pays. R rows, C H W image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.distillation.evaluation.autoattack.losses import Loss
from core.distillation.evaluation.autoattack.norms import Norm, project, random_start, steepest
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows

RHO = 0.75
MOMENTUM = 0.75
FIRST_STEP = 2.0
"""In radii."""
FIRST_INTERVAL = 0.22
INTERVAL_DECREMENT = 0.03
MIN_INTERVAL = 0.06
"""Iterations between two checks of the step size, as shares of all iterations."""


@dataclass(frozen=True)
class ApgdRows(Rows):
    """The state of the ascent in each row."""

    targets_R: Tensor
    current_RCHW: Tensor
    previous_RCHW: Tensor
    gradient_RCHW: Tensor
    best_RCHW: Tensor
    """The iterate of the highest loss so far."""
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
        self.network = network
        self.loss = loss
        self.norm = norm
        self.radius = radius
        self.iterations = iterations

    def search(
        self,
        rows: Rows,
        targets_R: Tensor,
        robustness: BatchRobustness,
        generator: torch.Generator,
    ) -> Iterator[None]:
        """Attack the rows, and record misclassified images. Yields after each iteration."""
        ascent = self.start(rows, targets_R, robustness, generator)
        interval = max(int(FIRST_INTERVAL * self.iterations), 1)
        until_check = interval
        for iteration in range(self.iterations):
            ascent = robustness.drop_misclassified(ascent, iteration)
            if not len(ascent.image_index_R):
                break
            ascent = self.step(ascent, MOMENTUM if iteration else 1.0, robustness)
            until_check -= 1
            if until_check == 0:
                ascent = halve_steps(ascent, interval)
                interval = max(
                    interval - max(int(INTERVAL_DECREMENT * self.iterations), 1),
                    int(MIN_INTERVAL * self.iterations),
                    1,
                )
                until_check = interval
            yield

    def start(
        self,
        rows: Rows,
        targets_R: Tensor,
        robustness: BatchRobustness,
        generator: torch.Generator,
    ) -> ApgdRows:
        start_RCHW = random_start(rows.images_RCHW, self.radius, self.norm, generator)
        gradient_RCHW, loss_R, logits_RK = self.evaluate_loss(start_RCHW, rows.labels_R, targets_R)
        robustness.record_logits(rows, logits_RK)
        return ApgdRows(
            rows.image_index_R,
            rows.images_RCHW,
            rows.labels_R,
            targets_R=targets_R,
            current_RCHW=start_RCHW,
            previous_RCHW=start_RCHW,
            gradient_RCHW=gradient_RCHW,
            best_RCHW=start_RCHW,
            best_gradient_RCHW=gradient_RCHW,
            best_loss_R=loss_R,
            # Zero, not the start's loss: the authors' code compares the first iterate with that.
            last_loss_R=torch.zeros_like(loss_R),
            rises_R=torch.zeros_like(loss_R),
            checked_loss_R=loss_R,
            halved_R=torch.ones_like(loss_R, dtype=torch.bool),
            step_R111=torch.full_like(loss_R, FIRST_STEP * self.radius)[:, None, None, None],
        )

    def evaluate_loss(
        self, images_RCHW: Tensor, labels_R: Tensor, targets_R: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return gradient [R, C, H, W], loss [R] and logits [R, K] at the images."""
        with torch.enable_grad():
            images_RCHW = images_RCHW.detach().requires_grad_()
            logits_RK = self.network(images_RCHW)
            loss_R = self.loss(logits_RK, labels_R, targets_R)
            (gradient_RCHW,) = torch.autograd.grad(loss_R.sum(), images_RCHW)
        # The network may compute in another memory layout; everything else here does not.
        return gradient_RCHW.contiguous(), loss_R.detach(), logits_RK.detach()

    def step(self, ascent: ApgdRows, weight: float, robustness: BatchRobustness) -> ApgdRows:
        """Take one step: ``weight`` of the gradient step, and the rest of the previous step."""
        current_RCHW = ascent.current_RCHW
        next_RCHW = current_RCHW + ascent.step_R111 * steepest(ascent.gradient_RCHW, self.norm)
        next_RCHW = project(next_RCHW, ascent.images_RCHW, self.radius, self.norm)
        next_RCHW = (
            current_RCHW
            + weight * (next_RCHW - current_RCHW)
            + (1 - weight) * (current_RCHW - ascent.previous_RCHW)
        )
        next_RCHW = project(next_RCHW, ascent.images_RCHW, self.radius, self.norm)
        gradient_RCHW, loss_R, logits_RK = self.evaluate_loss(
            next_RCHW, ascent.labels_R, ascent.targets_R
        )
        robustness.record_logits(ascent, logits_RK)
        higher_R = loss_R > ascent.best_loss_R
        higher_R111 = higher_R[:, None, None, None]
        best_gradient_RCHW = torch.where(higher_R111, gradient_RCHW, ascent.best_gradient_RCHW)
        return replace(
            ascent,
            current_RCHW=next_RCHW,
            previous_RCHW=current_RCHW,
            gradient_RCHW=gradient_RCHW,
            best_RCHW=torch.where(higher_R111, next_RCHW, ascent.best_RCHW),
            best_gradient_RCHW=best_gradient_RCHW,
            best_loss_R=torch.where(higher_R, loss_R, ascent.best_loss_R),
            last_loss_R=loss_R,
            rises_R=ascent.rises_R + (loss_R > ascent.last_loss_R),
        )


def halve_steps(ascent: ApgdRows, interval: int) -> ApgdRows:
    """Halve the step of rows that make too little progress, and restart them at their best iterate.

    These are rows whose loss rose too seldom since the last check, and rows whose best loss and
    whose step are what they were then.
    """
    unchanged_R = ~ascent.halved_R & (ascent.checked_loss_R >= ascent.best_loss_R)
    halve_R = (ascent.rises_R <= RHO * interval) | unchanged_R
    halve_R111 = halve_R[:, None, None, None]
    return replace(
        ascent,
        current_RCHW=torch.where(halve_R111, ascent.best_RCHW, ascent.current_RCHW),
        gradient_RCHW=torch.where(halve_R111, ascent.best_gradient_RCHW, ascent.gradient_RCHW),
        rises_R=torch.zeros_like(ascent.rises_R),
        checked_loss_R=ascent.best_loss_R,
        halved_R=halve_R,
        step_R111=torch.where(halve_R111, ascent.step_R111 / 2, ascent.step_R111),
    )
