"""Networks whose passes go through torch.compile while a training step runs: fewer, larger kernels."""

import shutil
from collections.abc import Callable
from types import TracebackType

import torch
from torch import Tensor

from core.distillation.models.network import Classifier
from core.errors import JobFailed

MAX_GRAPHS = 32
"""Of one network: train and eval mode, with and without gradients of weights and images. Beyond, torch falls back in silence."""


class CompiledForward:
    """``with passes:`` the networks' features come from compiled code; outside they are as ever, for evaluation and export.

    The first step in it compiles, for a minute or so. Raises JobFailed (no_compiler) where there is no C++ compiler.
    """

    def __init__(self, *networks: Classifier) -> None:
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise JobFailed(
                "no_compiler",
                "user",
                "schedule.compile needs a C++ compiler on the worker, such as g++; there is none.",
            )
        torch._dynamo.config.recompile_limit = max(
            torch._dynamo.config.recompile_limit, MAX_GRAPHS
        )
        self.features: list[tuple[Classifier, Callable[[Tensor], Tensor]]] = [
            (network, torch.compile(network.features, dynamic=False)) for network in networks
        ]

    def __enter__(self) -> None:
        for network, features in self.features:
            network.__dict__["features"] = features

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for network, _ in self.features:
            del network.__dict__["features"]
