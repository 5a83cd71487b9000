"""Small networks of every family, and checkpoints of them: honest ones and forged ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation.models import build
from core.distillation.models.cifar_mobilenet import CifarMobileNetV2
from core.distillation.models.cifar_resnet import CifarResNet
from core.distillation.models.dm_wide_resnet import DmWideResNet
from core.distillation.models.imagenet import ImageNetMobileNetV2, ImageNetResNet
from core.distillation.models.network import Classifier
from core.distillation.models.vision_transformer import VisionTransformer
from core.distillation.models.wide_resnet import WideResNet
from tests.distillation.models.forging import Forged, forged_checkpoint

FAMILIES: dict[str, Callable[[], Classifier]] = {
    "small_cnn": lambda: build("small_cnn", 10, width=4),
    "cifar_resnet": lambda: CifarResNet(10, depths=(1, 1, 1, 1)),
    "cifar_mobilenet": lambda: CifarMobileNetV2(10),
    "wide_resnet": lambda: WideResNet(10, depth=10, widening=1),
    "dm_wide_resnet": lambda: DmWideResNet(10, depth=10, widening=1),
    "vision_transformer": lambda: VisionTransformer(10, width=16, depth=2, heads=2),
    "imagenet_resnet": lambda: ImageNetResNet(10, depths=(1, 1, 1, 1)),
    "imagenet_mobilenet": lambda: ImageNetMobileNetV2(10),
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Callable[[], Classifier]:
    return FAMILIES[request.param]


@pytest.fixture
def small() -> Classifier:
    return lived_in(FAMILIES["small_cnn"]())


@pytest.fixture
def live_in() -> Callable[[Classifier], Classifier]:
    return lived_in


def lived_in(network: Classifier) -> Classifier:
    """In eval mode, with batch norm statistics that are not those of a fresh network."""
    generator = torch.Generator().manual_seed(1)
    for key, tensor in network.state_dict().items():
        if key.endswith("running_mean"):
            tensor.normal_(0, 0.1, generator=generator)
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith("num_batches_tracked"):
            tensor.fill_(7)
    return network.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save(tree: Any, name: str = "upload", **settings: Any) -> Path:
        torch.save(tree, tmp_path / name, **settings)
        return tmp_path / name

    return save


@pytest.fixture
def forge(tmp_path: Path) -> Callable[..., Path]:
    """A zip like torch.save's around any pickle, as a file."""

    def forge(tree: Any, **changes: Any) -> Path:
        (tmp_path / "upload").write_bytes(forged_checkpoint(tree, **changes))
        return tmp_path / "upload"

    return forge


@pytest.fixture
def forged() -> type[Forged]:
    return Forged
