"""The names that other programs call: importable, documented, and doing what their documentation says."""

import inspect
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


@pytest.mark.parametrize("name", PUBLIC, ids=lambda function: function.__name__)
def test_every_public_name_is_documented_and_typed(name: object) -> None:
    assert inspect.getdoc(name)
    signature = inspect.signature(name)  # type: ignore[arg-type]
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(
        parameter.annotation is not inspect.Parameter.empty
        for parameter in signature.parameters.values()
    )


def test_the_statistics_have_the_shapes_they_promise() -> None:
    clean_BD, adversarial_BD = torch.rand(5, 3), torch.rand(5, 3)
    assert covariance(clean_BD, adversarial_BD).shape == (6, 6)
    assert gram(clean_BD, adversarial_BD).shape == (10, 10)
    assert kl(clean_BD, adversarial_BD).shape == (5,)
    sigma = covariance(clean_BD, adversarial_BD)
    assert max_exp(sigma, 10).shape == (6, 6)
    assert omega(sigma).shape == ()


def test_all_four_distances_are_called_by_their_names() -> None:
    a, b = (covariance(torch.rand(50, 2), torch.rand(50, 2)) for _ in range(2))
    for name, settings in (
        ("frobenius", {}),
        ("power_euclidean", {"gamma": 0.5}),
        ("max_exp", {"eta": 10}),
        ("kl", {}),
    ):
        assert squared_distance(a, b, name, **settings) > 0
    means = (torch.zeros(4), torch.ones(4))
    assert squared_distance(a, b, "kl", means=means) > squared_distance(a, b, "kl")
    with pytest.raises(ValueError, match="frobenius"):
        squared_distance(a, b, "euclidean")


def test_a_network_is_built_saved_imported_and_attacked(tmp_path: Path) -> None:
    network = build("small_cnn", 10, width=2, channels=1)
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}},
        tmp_path / "weights.pt",
    )
    other = build("small_cnn", 10, width=2, channels=1)
    report = load(other, tmp_path / "weights.pt")
    assert report.renamed["module.conv1.weight"] == "conv1.weight"
    images = torch.rand(4, 1, 8, 8)
    other.eval()
    attacked = pgd(
        lambda x: kl(torch.zeros(4, 10), other(x)), images, radius=0.1, step_size=0.05, steps=3
    )
    assert (attacked - images).abs().max() <= 0.1 + 1e-6
