"""The optimizer and its schedule.

Learning rate and momentum are functions of the step, so that a checkpoint needs no scheduler state.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.jobspec.training.schedule import OneCycle, Schedule, Triangular

START_FRACTION = 1 / 25
END_FRACTION = 1 / 25e4
"""First and last rate of one cycle, relative to the highest; OneCycleLR's defaults in torch."""
LOW_MOMENTUM = 0.85
HIGH_MOMENTUM = 0.95
"""Momenta of one cycle, at its highest and at its lowest rate; OneCycleLR's defaults, too."""
TRIANGULAR_LOW_MOMENTUM = 0.8
TRIANGULAR_HIGH_MOMENTUM = 0.9
"""The same of a triangular decay; CyclicLR's defaults in torch."""


def make_optimizer(
    schedule: Schedule,
    parameters: Iterable[nn.Parameter],
    norm_parameters: Iterable[nn.Parameter] = (),
) -> torch.optim.SGD:
    """Return SGD over ``parameters``; ``norm_parameters`` are those of batch norms among them."""
    weights = list(parameters)
    groups: list[dict[str, Any]] = [{"params": weights}]
    if schedule.batch_norm_weight_decay is not None:
        norm_ids = {id(parameter) for parameter in norm_parameters}
        norms = [weight for weight in weights if id(weight) in norm_ids]
        others = [weight for weight in weights if id(weight) not in norm_ids]
        groups = [
            {"params": others},
            {"params": norms, "weight_decay": schedule.batch_norm_weight_decay},
        ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.nesterov,
        fused=True,
    )


def batch_norm_parameters(*networks: nn.Module) -> list[nn.Parameter]:
    """Return the weights and biases of the networks' batch norms."""
    modules = [module for network in networks for module in network.modules()]
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    return [parameter for norm in norms for parameter in norm.parameters(recurse=False)]


def clip_gradients(optimizer: torch.optim.Optimizer, norm: Tensor, max_norm: float) -> None:
    """Scale the optimizer's gradients down to ``max_norm``, if they are longer.

    ``norm`` is the L2 norm of all of them together, a scalar on their device.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)


def apply_schedule(
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    step: int,
    steps: int,
    steps_per_epoch: int,
) -> float:
    """Set learning rate and momentum for step ``step``, from 0, of ``steps``; return the rate."""
    rate = learning_rate_at(schedule, step, steps, steps_per_epoch)
    momentum = momentum_at(schedule, step, steps, steps_per_epoch)
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
        step, steps = _updates(decay, step, steps, steps_per_epoch)
        return _one_cycle(decay, step, steps, first, highest, last)
    if decay.name == "triangular":
        return _triangle(decay, step, steps, 0.0, highest)
    if decay.name == "multi_step":
        passed = sum(step >= milestone * steps_per_epoch for milestone in decay.milestones)
        return highest * decay.factor**passed
    if decay.name == "cosine":
        return _cosine_interpolation(highest, 0.0, step / steps)
    return highest


def momentum_at(schedule: Schedule, step: int, steps: int, steps_per_epoch: int) -> float:
    """Return the momentum of step ``step``, from 0, of ``steps``."""
    decay = schedule.decay
    if decay.name == "one_cycle" and decay.cycle_momentum:
        step, steps = _updates(decay, step, steps, steps_per_epoch)
        return _one_cycle(decay, step, steps, HIGH_MOMENTUM, LOW_MOMENTUM, HIGH_MOMENTUM)
    if decay.name == "triangular" and decay.cycle_momentum:
        return _triangle(decay, step, steps, TRIANGULAR_HIGH_MOMENTUM, TRIANGULAR_LOW_MOMENTUM)
    return schedule.momentum


def _updates(decay: OneCycle, step: int, steps: int, steps_per_epoch: int) -> tuple[int, int]:
    """Return the index of the cycle's present value and the number of its values."""
    if decay.update == "epoch":
        return step // steps_per_epoch, steps // steps_per_epoch
    return step, steps


def _triangle(decay: Triangular, step: int, steps: int, base: float, peak: float) -> float:
    """Interpolate from ``base`` to ``peak`` while the rate rises, then back to ``base``."""
    rising = step / (decay.rise * steps)
    falling = (steps - step) / ((1 - decay.rise) * steps)
    return base + (peak - base) * min(rising, falling)


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
