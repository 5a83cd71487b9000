"""Two tiny networks with uneven predictions, and a batch of fixed images with fixed adversaries."""

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.distillation.models.small_cnn import SmallCnn

CLASSES = 4

torch.set_num_threads(1)


def gratings(seed: int) -> Tensor:
    """Six images of different contrast, brightness and direction, with a little noise."""
    noise = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    waves = torch.stack(
        [(rows * (image % 3) + columns * (image // 3 + 0.5) + seed).sin() for image in range(6)]
    )[:, None]
    contrast = torch.linspace(0.05, 0.4, 6)[:, None, None, None]
    brightness = torch.linspace(0.7, 0.3, 6)[:, None, None, None]
    return (brightness + contrast * waves + 0.1 * noise).clamp(0, 1)


@functools.cache
def prototype(width: int, seed: int) -> SmallCnn:
    """A network whose running statistics are of other images: eval and train mode differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallCnn(CLASSES, width=width, channels=1)
    with torch.no_grad():
        network.linear.weight.mul_(4)
        for norm in (network.bn1, network.bn2, network.bn3):
            norm.momentum = 1.0
        network(gratings(seed))
        for norm in (network.bn1, network.bn2, network.bn3):
            norm.momentum = 0.1
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.zero_()
    return network


def tiny(width: int, seed: int) -> SmallCnn:
    return copy.deepcopy(prototype(width, seed))


@pytest.fixture
def student() -> SmallCnn:
    return tiny(2, seed=1)


@pytest.fixture
def teacher() -> SmallCnn:
    return tiny(3, seed=2)


@pytest.fixture
def images() -> Tensor:
    return gratings(seed=3)


@pytest.fixture
def adversarial(images: Tensor) -> Tensor:
    """Images within 0.2 of the clean ones: vertical stripes, from image to image darker."""
    stripes = torch.tensor([0.2, -0.2]).repeat(4) - torch.linspace(0, 0.2, 6)[:, None, None, None]
    return (images + stripes.clamp(-0.2, 0.2)).clamp(0, 1)


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.fixture
def running_statistics() -> Callable[[torch.nn.Module], dict[str, Tensor]]:
    def read(network: torch.nn.Module) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in network.named_buffers()}

    return read
