"""The average of a student's weights over the training, as EMA or SWA, and fresh batch norm statistics for it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.jobspec.resolved import ResolvedAveragingSettings
from core.jobspec.training.weights import EmaSettings

Weights = dict[str, Tensor]


class WeightAverage:
    """``weights`` are empty until the first that count have come. Batch norm statistics are no part of it."""

    def __init__(self, settings: ResolvedAveragingSettings, student: nn.Module) -> None:
        self.settings, self.student = settings, student
        self.weights: Weights = {}
        self.updates = 0
        """How often something was added."""

    def after_step(self) -> None:
        """EMA: with n additions before, the decay is at most (1 + n) / (10 + n), so that the first weights are soon forgotten."""
        if isinstance(self.settings, EmaSettings):
            decay = min(self.settings.decay, (1 + self.updates) / (10 + self.updates))
            self._update(1 - decay)

    def after_epoch(self, epochs_done: int) -> None:
        """SWA: the plain mean."""
        if not isinstance(self.settings, EmaSettings):
            if epochs_done > self.settings.begin:
                self._update(1 / (self.updates + 1))

    def _update(self, share: float) -> None:
        own = dict(self.student.named_parameters())
        if not self.weights:
            self.weights = {name: weight.detach().clone() for name, weight in own.items()}
        else:
            with torch.no_grad():
                averages = [self.weights[name] for name in own]
                torch._foreach_lerp_(averages, [weight.detach() for weight in own.values()], share)
        self.updates += 1

    @contextmanager
    def applied(self, batches: Iterable[Tensor]) -> Iterator[None]:
        """The student with the average as its weights, and statistics of ``batches``; afterwards it is as it was."""
        if not self.weights:
            yield
            return
        own = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.student.load_state_dict({**own, **self.weights})
        try:
            recompute_batch_norm(self.student, batches)
            yield
        finally:
            self.student.load_state_dict(own)


def recompute_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Batch norm statistics from nothing: the mean over ``batches``, images [B, C, H, W]. The weights stay as they are."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], network.training
    network.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    try:
        with torch.no_grad():
            for images_BCHW in batches:
                network(images_BCHW)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(training)
