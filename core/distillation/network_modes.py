"""Context managers that change a network, or how CUDA computes, and change it back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.distillation.forward import Precision
from core.jobspec.training.adversary import AttackMode


@contextmanager
def network_mode(network: nn.Module, name: Literal["eval", "train"]) -> Iterator[None]:
    """Put the network into train or eval mode."""
    before = network.training
    network.train(name == "train")
    try:
        yield
    finally:
        network.train(before)


@contextmanager
def attack_mode(network: nn.Module, name: AttackMode) -> Iterator[None]:
    """Put the network into the mode that it has while it is attacked.

    train_untracked is train mode in which batch norm does not update its running statistics.
    """
    if name != "train_untracked":
        with network_mode(network, name):
            yield
        return
    with network_mode(network, "train"), frozen_statistics(network):
        yield


@contextmanager
def loaded_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Load ``weights``, a complete state dict, into the network."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    try:
        yield
    finally:
        network.load_state_dict(before)


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Keep batch norm from updating its running statistics; in train mode it uses the batch's."""
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
def convolution_precision(precision: Precision) -> Iterator[None]:
    """Let cuDNN's convolutions use TF32 if ``precision`` is tf32, and only then.

    Matrix products, and with them the statistics, stay fp32.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
