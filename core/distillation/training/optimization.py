"""Optimizer and learning rate from the spec. The rate is a function of the step, so that resuming needs no scheduler's state."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from core.jobspec.training.schedule import OneCycle, Schedule

START_SHARE, END_FRACTION = 1 / 25, 1 / 25e4
"""One cycle's first and last rate, as shares of the highest: torch.optim.lr_scheduler.OneCycleLR's defaults."""
LOW_MOMENTUM, HIGH_MOMENTUM = 0.85, 0.95


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
    """Set what the next step, number ``step`` from 0 of ``steps``, is to use; returns the learning rate."""
    rate, momentum = (
        learning_rate_at(schedule, step, steps, steps_per_epoch),
        momentum_at(schedule, step, steps),
    )
    for group in optimizer.param_groups:
        group["lr"], group["momentum"] = rate, momentum
    return rate


def learning_rate_at(schedule: Schedule, step: int, steps: int, steps_per_epoch: int) -> float:
    """The rate of step ``step``, from 0, of ``steps``."""
    highest, decay = schedule.learning_rate, schedule.decay
    if decay.name == "one_cycle":
        return _cycle(decay, step, steps, highest * START_SHARE, highest, highest * END_FRACTION)
    if decay.name == "multi_step":
        passed = sum(step >= milestone * steps_per_epoch for milestone in decay.milestones)
        return highest * decay.factor**passed
    if decay.name == "cosine":
        return _cosine(highest, 0.0, step / steps)
    return highest


def momentum_at(schedule: Schedule, step: int, steps: int) -> float:
    decay = schedule.decay
    if decay.name == "one_cycle" and decay.cycle_momentum:
        return _cycle(decay, step, steps, HIGH_MOMENTUM, LOW_MOMENTUM, HIGH_MOMENTUM)
    return schedule.momentum


def _cycle(decay: OneCycle, step: int, steps: int, first: float, peak: float, last: float) -> float:
    top = (
        decay.rise * steps - 1
    )  # may be 0 or less in the shortest of schedules: then the first step is past the rise
    if step <= top and top > 0:
        return _cosine(first, peak, step / top)
    return _cosine(peak, last, (step - top) / (steps - 1 - top) if steps > 1 else 0.0)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(1.0, share)))
