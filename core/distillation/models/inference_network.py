"""A network for evaluation alone: the same function, with fewer operations. B batch, C H W image, K classes."""

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

from core.distillation.models.network import Classifier

MAX_RELATIVE_ERROR = 1e-4
"""The most that the logits of a compiled network may be off, as a share of the largest."""


class InferenceNetwork(nn.Module):
    """Logits [B, K] of images [B, C, H, W] as the network's in eval mode, up to rounding.

    Where no gradient is asked for, on a CPU, they come from a compiled form of the network: weights laid out once for the
    operations that use them, activations in place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.eager = network
        self.compiled: nn.Module | None = None

    def forward(self, images_BCHW: Tensor) -> Tensor:
        if torch.is_grad_enabled() or images_BCHW.is_cuda:
            asked = self.eager
        else:
            asked = self.compiled = self.compiled or compiled(self.eager, images_BCHW)
        logits_BK: Tensor = asked(images_BCHW)
        return logits_BK


def prepare_for_inference(network: Classifier) -> InferenceNetwork:
    """The network itself is left as it is: batch norms are folded, in a copy, into the convolutions before them.

    A network whose course cannot be traced, or which has no batch norm after a convolution, is copied.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    if not any(parameter.is_cuda for parameter in copied.parameters()):
        copied.to(
            memory_format=torch.channels_last
        )  # convolutions' backward passes are a third faster
    if not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules()):
        return InferenceNetwork(copied)
    try:
        return InferenceNetwork(fuse(copied, inplace=True))
    except (TraceError, TypeError, RuntimeError, AttributeError):
        return InferenceNetwork(copied)


def compiled(network: nn.Module, images_BCHW: Tensor) -> nn.Module:
    """A form without gradients; the network itself where there is none that says the same of other images, however many."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(network, images_BCHW, check_trace=False)  # type: ignore[no-untyped-call]
            candidate = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
            return candidate if outputs_agree(network, candidate, images_BCHW) else network
    except Exception:  # whatever a network's own code raises under the tracer
        return network


def outputs_agree(one: nn.Module, other: nn.Module, images_BCHW: Tensor) -> bool:
    """Do they say the same of the images, of their reflections in grey, and of these with one more?"""
    reflected_BCHW = 1 - images_BCHW
    for asked in (images_BCHW, reflected_BCHW, torch.cat([images_BCHW, reflected_BCHW[:1]])):
        for _ in range(2):  # the second time on, a compiled network takes its optimised course
            expected, found = one(asked), other(asked)
        if not torch.allclose(
            found, expected, rtol=0, atol=MAX_RELATIVE_ERROR * float(expected.abs().max()), equal_nan=True
        ):
            return False
    return True
