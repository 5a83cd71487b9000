"""Sums of an epoch's metrics, and the first step that was not finite, kept on the device.

Reading a number from a CUDA device waits for the device. So a training step only adds to tensors
there, and the host reads them when metrics are due.
"""

import math

import torch
from torch import Tensor

from core.distillation.methods import MethodLoss


class RunningMetrics:
    """Loss, loss terms and the method's other metrics, summed over the steps of an epoch."""

    def __init__(self, sums: dict[str, float] | None = None) -> None:
        """``sums``: those of the epoch's earlier steps, where a job resumes inside an epoch."""
        self.sums = {
            name: torch.tensor(total, dtype=torch.float64) for name, total in (sums or {}).items()
        }
        self.first_loss: Tensor | None = None
        """The loss of step 0; None in a part of the training without it."""
        self.latest: dict[str, Tensor] = {}
        self.non_finite_step: Tensor | None = None
        """Index of the first step that was not finite, from 0; -1 if there is none."""

    def add(self, step: int, loss: MethodLoss, total: Tensor, gradient_norm: Tensor) -> Tensor:
        """Add the metrics of step ``step``, from 0. A value that is not finite counts as 0.

        Returns 1.0 if the loss or the gradient of this step or of an earlier one is not finite,
        else 0.0.
        """
        terms = {f"loss_{name}": term.value for name, term in loss.terms.items()}
        metrics = {"loss": total} | terms | loss.metrics
        self.latest = {name: value.detach() for name, value in metrics.items()}
        device = total.device
        if step == 0:
            self.first_loss = total.detach()
        for name, value in self.latest.items():
            finite = value.double().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
            finite = finite.to(device, non_blocking=True)
            earlier = self.sums.get(name)
            self.sums[name] = finite if earlier is None else earlier.to(device) + finite
        non_finite = ~(total.detach().isfinite() & gradient_norm.isfinite())
        if self.non_finite_step is None:
            self.non_finite_step = torch.full((), -1, device=device)
        is_first = (self.non_finite_step < 0) & non_finite
        self.non_finite_step = torch.where(is_first, step, self.non_finite_step)
        return (self.non_finite_step >= 0).float()

    def first_non_finite_step(self) -> int | None:
        """Return the index of the first step that was not finite, from 0; None if there is none."""
        step = -1 if self.non_finite_step is None else int(self.non_finite_step)
        return step if step >= 0 else None

    def totals(self) -> dict[str, float]:
        """Return the sums over the epoch's steps so far."""
        return _finite_values(self.sums)

    def latest_values(self) -> dict[str, float]:
        """Return the metrics of the latest step."""
        return _finite_values(self.latest)


def _finite_values(metrics: dict[str, Tensor]) -> dict[str, float]:
    """Transfer all metrics from the device at once, and drop those that are not finite."""
    if not metrics:
        return {}
    device = next(iter(metrics.values())).device
    values = torch.stack([value.double().to(device) for value in metrics.values()]).tolist()
    pairs = zip(metrics, values, strict=True)
    return {name: value for name, value in pairs if math.isfinite(value)}
