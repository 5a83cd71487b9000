"""Which batches AT-PRM mixes, how, and with what share: draw by draw."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Beta

from core.distillation.methods import TrainingPosition
from core.distillation.methods.at_prm import AtPrm, cutmix, mixup
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.training.methods import AtPrmSettings


@pytest.fixture
def patched(student: SmallCnn) -> SmallCnn:
    student.patch_size = 2
    return student


def numbered(count: int = 4, height: int = 8, width: int = 6) -> Tensor:
    """Image i is filled with i."""
    return torch.arange(float(count))[:, None, None, None].expand(-1, 2, height, width).clone()


def test_mixup_by_hand() -> None:
    """Image i gets a share of i, and the rest of the image at the other end of the batch."""
    mixed, ratio = mixup(numbered(), 0.75)
    assert ratio == 0.75
    assert mixed[:, 0, 0, 0].tolist() == [0.75, 0.75 + 0.5, 1.5 + 0.25, 2.25]
    assert torch.equal(mixed, mixed[:, :1, :1, :1].expand(-1, 2, 8, 6))


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.36, 0.5, 0.84, 0.99, 1.0])
def test_cutmix_pastes_a_rectangle_around_its_center(ratio: float) -> None:
    """Pixel by pixel; its sides are sqrt(1 - ratio) of the image's, cut off at the border."""
    for seed in range(20):
        torch.manual_seed(seed)
        center_row = int(torch.randint(8, ()))
        center_column = int(torch.randint(6, ()))
        half_rows = int((1 - ratio) ** 0.5 * 8) // 2
        half_columns = int((1 - ratio) ** 0.5 * 6) // 2
        expected = numbered()
        pasted = 0
        for row in range(8):
            for column in range(6):
                if -half_rows <= row - center_row < half_rows and (
                    -half_columns <= column - center_column < half_columns
                ):
                    pasted += 1
                    expected[:, :, row, column] = torch.tensor([3.0, 2.0, 1.0, 0.0])[:, None]
        torch.manual_seed(seed)
        images = numbered()
        mixed, remaining = cutmix(images, ratio)
        assert torch.equal(mixed, expected)
        assert remaining == pytest.approx(1 - pasted / 48)
        assert torch.equal(images, numbered())


def prepared(patched: SmallCnn, seed: int, **settings: Any) -> tuple[Tensor, float]:
    """Return the images and the share of a batch of black to white images."""
    method = AtPrm(AtPrmSettings(**settings), patched)
    images = numbered(height=8, width=8)[:, :1] / 3
    torch.manual_seed(seed)
    batch = method.prepare_batch(images, torch.arange(4), TrainingPosition(2, 3, 4))
    assert batch.position == TrainingPosition(2, 3, 4)
    assert batch.labels_B.tolist() == [0, 1, 2, 3]
    return batch.images_BCHW, batch.ratio


def is_mixup(images: Tensor) -> bool:
    """Mixup changes a whole image by one number; cutmix takes every pixel from one image."""
    values = set(images[0].flatten().tolist())
    return len(values) == 1 and values.isdisjoint({0.0, 1.0})


@pytest.mark.parametrize(("name", "other"), [("mixup", "cutmix"), ("cutmix", "mixup")])
def test_one_way_of_mixing_alone(name: str, other: str, patched: SmallCnn) -> None:
    for seed in range(10):
        images, ratio = prepared(patched, seed, **{name: 0.7, other: 0.0})
        if ratio in (0.0, 1.0):
            continue
        assert is_mixup(images) == (name == "mixup")
        # Black is mixed with white.
        white = images[0].mean().item()
        assert white == pytest.approx(1 - ratio, abs=1e-6)


def test_with_both_each_batch_gets_one_of_them(patched: SmallCnn) -> None:
    kinds = [is_mixup(prepared(patched, seed)[0]) for seed in range(40)]
    assert 10 < sum(kinds) < 30


def test_without_either_nothing_is_mixed(patched: SmallCnn) -> None:
    images, ratio = prepared(patched, 0, mixup=0.0, cutmix=0.0)
    assert ratio == 1.0
    assert torch.equal(images, numbered(height=8, width=8)[:, :1] / 3)


@pytest.mark.parametrize(
    ("settings", "concentrations"),
    [
        ({}, {0.8, 1.0}),
        ({"mixup": 0.3, "cutmix": 0.0}, {0.3}),
        ({"mixup": 0.0, "cutmix": 2.5}, {2.5}),
    ],
)
def test_shares_are_drawn_from_a_beta_distribution(
    settings: dict[str, float],
    concentrations: set[float],
    patched: SmallCnn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its parameters are both that of the way of mixing."""
    drawn: list[tuple[float, float]] = []

    def record(first: float, second: float) -> Beta:
        drawn.append((first, second))
        return Beta(first, second)

    monkeypatch.setattr("core.distillation.methods.at_prm.Beta", record)
    for seed in range(20):
        prepared(patched, seed, **settings)
    assert {first for first, _ in drawn} == concentrations
    assert all(first == second for first, second in drawn)
    assert len(drawn) == 20


@pytest.mark.parametrize("probability", [0.0, 0.4, 1.0])
def test_coin_decides_whether_a_batch_is_mixed(probability: float, patched: SmallCnn) -> None:
    mixed = []
    coins = []
    for seed in range(30):
        torch.manual_seed(seed)
        coins.append(torch.rand(()).item() < probability)
        settings = {"mixing_probability": probability, "cutmix": 0.0}
        mixed.append(prepared(patched, seed, **settings)[1] != 1.0)
    assert mixed == coins
    assert (0 < sum(mixed) < 30) == (probability == 0.4)
