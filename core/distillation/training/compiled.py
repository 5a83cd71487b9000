"""Networks whose forward passes go through torch.compile during training: fewer, larger kernels."""

import shutil
from collections.abc import Callable
from types import TracebackType

import torch
from torch import Tensor

from core.distillation.models.network import Classifier
from core.errors import JobFailed

MAX_GRAPHS = 32
"""Graphs of one network: train and eval mode, with and without gradients of weights and images.

Beyond torch's own limit of 8 it would silently run the network uncompiled.
"""


class CompiledForward:
    """A context manager: inside it, the networks' features are computed by compiled code.

    Outside, the networks are unchanged, for evaluation and export. The first step inside compiles,
    which takes about a minute.
    """

    def __init__(self, *networks: Classifier) -> None:
        """Raises JobFailed (no_compiler) without a C++ compiler."""
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise JobFailed(
                "no_compiler",
                "user",
                "schedule.compile needs a C++ compiler on the worker, such as g++; there is none.",
            )
        config = torch._dynamo.config
        config.recompile_limit = max(config.recompile_limit, MAX_GRAPHS)
        self.features: list[tuple[Classifier, Callable[[Tensor], Tensor]]] = [
            (network, torch.compile(network.features, dynamic=False)) for network in networks
        ]

    def __enter__(self) -> None:
        # In the instance's __dict__ the compiled function hides the class's method. setattr would
        # register it as a submodule.
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
