"""Two tiny networks with uneven predictions, and a batch of fixed images with fixed adversaries."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.distillation.models.small_cnn import SmallCnn

CLASSES = 4


def tiny(width: int, seed: int) -> SmallCnn:
    """Its running statistics are not those of any batch, so that eval and train mode differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallCnn(CLASSES, width=width, channels=1)
        with torch.no_grad():
            network.linear.weight.mul_(6)
            for norm in (network.bn1, network.bn2, network.bn3):
                norm.running_mean.normal_(0, 0.1)
                norm.running_var.uniform_(0.5, 1.5)
                norm.bias.uniform_(0, 0.3)
    return network


@pytest.fixture
def student() -> SmallCnn:
    return tiny(2, seed=1)


@pytest.fixture
def teacher() -> SmallCnn:
    return tiny(3, seed=2)


@pytest.fixture
def images() -> Tensor:
    contrast = torch.linspace(0.2, 1, 6)[:, None, None, None]
    return contrast * torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def adversarial(images: Tensor) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(4))
    return (images + 0.2 * noise.sign()).clamp(0, 1)


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.fixture
def running_statistics() -> Callable[[torch.nn.Module], dict[str, Tensor]]:
    def read(network: torch.nn.Module) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in network.named_buffers()}

    return read
