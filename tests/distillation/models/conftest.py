"""Networks, images, and checkpoints of them: well-formed and forged ones."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from tests.distillation.models.forging import forged_checkpoint
from tests.distillation.models.networks import FAMILIES, with_statistics


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Callable[[], Classifier]:
    name: str = request.param
    return FAMILIES[name]


@pytest.fixture
def small() -> SmallCnn:
    return with_statistics(SmallCnn(10, width=4))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint with torch.save."""

    def save(tree: Any, name: str = "upload", **settings: Any) -> Path:
        torch.save(tree, tmp_path / name, **settings)
        return tmp_path / name

    return save


@pytest.fixture
def forge(tmp_path: Path) -> Callable[..., Path]:
    """Write a zip like torch.save's around any pickle."""

    def forge(tree: Any, **changes: Any) -> Path:
        (tmp_path / "upload").write_bytes(forged_checkpoint(tree, **changes))
        return tmp_path / "upload"

    return forge
