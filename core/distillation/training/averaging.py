"""Averages of a student's weights over the training: EMA and SWA.

Batch norm statistics are not averaged: they are recomputed for the averaged weights.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.distillation.network_modes import loaded_weights, network_mode
from core.jobspec.resolved import ResolvedAveragingSettings
from core.jobspec.training.averaging import EmaSettings


class WeightAverage:
    """The average of the student's parameters so far.

    ``weights`` is empty before the first update.
    """

    def __init__(self, settings: ResolvedAveragingSettings, student: nn.Module) -> None:
        self.settings = settings
        self.student = student
        self.weights: dict[str, Tensor] = {}
        self.updates = 0

    def after_step(self, progress: float = 1.0) -> None:
        """Update an EMA, if its warm-up is over; ``progress`` is the share of all steps taken.

        After n updates the decay is at most (1 + n) / (10 + n), so that the first weights, which
        are random, are soon forgotten.
        """
        if isinstance(self.settings, EmaSettings) and progress >= self.settings.warmup:
            decay = min(self.settings.decay, (1 + self.updates) / (10 + self.updates))
            self._update(1 - decay)

    def after_epoch(self, epoch: int) -> None:
        """Update an SWA, the plain mean, after epoch ``epoch``, from 1."""
        if not isinstance(self.settings, EmaSettings) and epoch > self.settings.begin:
            self._update(1 / (self.updates + 1))

    def _update(self, fraction: float) -> None:
        """Move the average by ``fraction`` towards the student's parameters."""
        current = {name: weight.detach() for name, weight in self.student.named_parameters()}
        if not self.weights:
            self.weights = {name: weight.clone() for name, weight in current.items()}
        else:
            averages = [self.weights[name] for name in current]
            torch._foreach_lerp_(averages, list(current.values()), fraction)
        self.updates += 1

    @contextmanager
    def applied(self, batches: Iterable[Tensor]) -> Iterator[None]:
        """Put the average into the student, and restore the student's own weights afterwards.

        ``batches`` are images [B, C, H, W], for the batch norm statistics. Before the first update
        nothing happens.
        """
        if not self.weights:
            yield
            return
        with loaded_weights(self.student, {**self.student.state_dict(), **self.weights}):
            recompute_batch_norm(self.student, batches)
            yield


def recompute_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set batch norm statistics to the plain mean over ``batches``, images [B, C, H, W].

    Earlier statistics are forgotten. Weights, momenta and the network's mode stay as they are.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's setting for a cumulative mean
    try:
        with network_mode(network, "train"), torch.no_grad():
            for images_BCHW in batches:
                network(images_BCHW)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
