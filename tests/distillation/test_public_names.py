"""The names that other programs import: typed, documented, and true to their documentation."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.distillation.adversaries import pgd
from core.distillation.models import build
from core.distillation.models.importers import load
from core.distillation.statistics.covariance import covariance
from core.distillation.statistics.distances import max_exp, squared_distance
from core.distillation.statistics.divergences import kl
from core.distillation.statistics.gram import gram
from core.distillation.statistics.submatrices import omega

PUBLIC = (covariance, gram, squared_distance, max_exp, omega, kl, pgd, build, load)


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_every_public_name_is_documented_and_typed(function: Callable[..., object]) -> None:
    assert inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(
        parameter.annotation is not inspect.Parameter.empty
        for parameter in signature.parameters.values()
    )


def test_the_statistics_have_the_shapes_they_promise() -> None:
    clean_BD = torch.rand(5, 3)
    adversarial_BD = torch.rand(5, 3)
    assert covariance(clean_BD, adversarial_BD).shape == (6, 6)
    assert gram(clean_BD, adversarial_BD).shape == (10, 10)
    assert kl(clean_BD, adversarial_BD).shape == (5,)
    sigma = covariance(clean_BD, adversarial_BD)
    assert max_exp(sigma, 10).shape == (6, 6)
    assert omega(sigma).shape == ()


def test_all_four_distances_are_selected_by_name() -> None:
    a, b = (covariance(torch.rand(50, 2), torch.rand(50, 2)) for _ in range(2))
    assert squared_distance(a, b, "frobenius") > 0
    assert squared_distance(a, b, "power_euclidean", gamma=0.5) > 0
    assert squared_distance(a, b, "max_exp", eta=10) > 0
    assert squared_distance(a, b, "kl") > 0
    means = (torch.zeros(4), torch.ones(4))
    assert squared_distance(a, b, "kl", means=means) > squared_distance(a, b, "kl")
    with pytest.raises(ValueError, match="frobenius"):
        squared_distance(a, b, "euclidean")


def test_a_network_is_built_saved_imported_and_attacked(tmp_path: Path) -> None:
    network = build("small_cnn", 10, width=2, channels=1)
    path = tmp_path / "weights.pt"
    weights = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": weights}, path)
    other = build("small_cnn", 10, width=2, channels=1)
    report = load(other, path)
    assert report.renamed["module.conv1.weight"] == "conv1.weight"
    images = torch.rand(4, 1, 8, 8)
    other.eval()
    attacked = pgd(
        lambda x: kl(torch.zeros(4, 10), other(x)), images, radius=0.1, step_size=0.05, steps=3
    )
    assert (attacked - images).abs().max() <= 0.1 + 1e-6
