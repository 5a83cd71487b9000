"""A network for evaluation alone: batch norms folded into the convolutions before them, the same function in fewer passes."""

import copy

from torch import nn
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

from core.distillation.models.network import Classifier


def folded(network: Classifier) -> nn.Module:
    """Logits [B, K] of images [B, C, H, W] as the network's in eval mode, up to rounding; the network itself is left as it is.

    A network whose course cannot be traced, or which has no batch norm after a convolution, is copied.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    if not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules()):
        return copied
    try:
        return fuse(copied, inplace=True)
    except (TraceError, TypeError, RuntimeError, AttributeError):
        return copied
