"""What one network says of a batch of images: its features and its logits. B batch, D features, K classes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.distillation.models.network import Classifier

Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True)
class NetworkOutput:
    """Penultimate features and logits, fp32."""

    features_BD: Tensor
    logits_BK: Tensor

    @property
    def probabilities_BK(self) -> Tensor:
        return self.logits_BK.softmax(dim=1)


def forward(
    network: Classifier, images_BCHW: Tensor, precision: Precision = "fp32"
) -> NetworkOutput:
    """One pass. Only the network runs in bf16 where that is asked for: whatever is computed of a view is fp32."""
    with torch.autocast(images_BCHW.device.type, torch.bfloat16, enabled=precision == "bf16"):
        features_BD = network.features(images_BCHW)
        logits_BK = network.classify(features_BD)
    return NetworkOutput(features_BD.float(), logits_BK.float())


@contextmanager
def mode(network: nn.Module, name: Literal["eval", "train"]) -> Iterator[None]:
    """The network in that batch norm mode, and afterwards in the one it was in."""
    before = network.training
    network.train(name == "train")
    try:
        yield
    finally:
        network.train(before)


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch norm inside goes on as before, but what it sees does not change its running statistics."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [
        norm.num_batches_tracked.clone() if norm.num_batches_tracked is not None else None
        for norm in norms
    ]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            if count is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)


@contextmanager
def convolutions_in(precision: Precision) -> Iterator[None]:
    """TF32 in cuDNN's convolutions if asked for; matrix products, the statistics' own, stay fp32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
