"""The optimizer and its schedule.

Learning rate and momentum are functions of the step, so that a checkpoint needs no scheduler state.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

from core.jobspec.training.schedule import OneCycle, Schedule

START_FRACTION = 1 / 25
END_FRACTION = 1 / 25e4
"""First and last rate of one cycle, relative to the highest; OneCycleLR's defaults in torch."""
LOW_MOMENTUM = 0.85
HIGH_MOMENTUM = 0.95


def make_optimizer(schedule: Schedule, parameters: Iterable[nn.Parameter]) -> torch.optim.SGD:
    return torch.optim.SGD(
        parameters,
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.nesterov,
        fused=True,
    )


def apply_schedule(
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    step: int,
    steps: int,
    steps_per_epoch: int,
) -> float:
    """Set learning rate and momentum for step ``step``, from 0, of ``steps``; return the rate."""
    rate = learning_rate_at(schedule, step, steps, steps_per_epoch)
    momentum = momentum_at(schedule, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
        group["momentum"] = momentum
    return rate


def learning_rate_at(schedule: Schedule, step: int, steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate of step ``step``, from 0, of ``steps``."""
    highest = schedule.learning_rate
    decay = schedule.decay
    if decay.name == "one_cycle":
        first = highest * START_FRACTION
        last = highest * END_FRACTION
        return _one_cycle(decay, step, steps, first, highest, last)
    if decay.name == "multi_step":
        passed = sum(step >= milestone * steps_per_epoch for milestone in decay.milestones)
        return highest * decay.factor**passed
    if decay.name == "cosine":
        return _cosine_interpolation(highest, 0.0, step / steps)
    return highest


def momentum_at(schedule: Schedule, step: int, steps: int) -> float:
    """Return the momentum of step ``step``, from 0, of ``steps``."""
    decay = schedule.decay
    if decay.name == "one_cycle" and decay.cycle_momentum:
        return _one_cycle(decay, step, steps, HIGH_MOMENTUM, LOW_MOMENTUM, HIGH_MOMENTUM)
    return schedule.momentum


def _one_cycle(
    decay: OneCycle, step: int, steps: int, first: float, peak: float, last: float
) -> float:
    """Interpolate from ``first`` to ``peak`` while the rate rises, then to ``last``."""
    # 0 or less in the shortest schedules: then the first step comes after the rise.
    peak_step = decay.rise * steps - 1
    if step <= peak_step and peak_step > 0:
        return _cosine_interpolation(first, peak, step / peak_step)
    fraction = (step - peak_step) / (steps - 1 - peak_step) if steps > 1 else 0.0
    return _cosine_interpolation(peak, last, fraction)


def _cosine_interpolation(start: float, end: float, fraction: float) -> float:
    """``fraction`` 0 gives ``start``; 1, or more, gives ``end``."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(1.0, fraction)))
