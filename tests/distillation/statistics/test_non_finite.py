"""One entry that is not finite makes the distance not finite, and raises no error."""

import math

import pytest
import torch
from torch import Tensor

from core.distillation.statistics.covariance import covariance, effective_rank
from core.distillation.statistics.distances import DISTANCES, squared_distance
from core.distillation.statistics.divergences import kl
from core.distillation.statistics.gram import gram
from core.distillation.statistics.submatrices import omega

VALUES = [math.nan, math.inf, -math.inf]


def matrix(seed: int) -> Tensor:
    factor = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed))
    return factor @ factor.T


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("entry", [(0, 0), (3, 1)])
@pytest.mark.parametrize("which", [0, 1])
def test_one_entry_makes_the_distance_not_finite(
    name: str, value: float, entry: tuple[int, int], which: int
) -> None:
    """In either matrix, on the diagonal or beside it; the gradient can still be asked for."""
    matrices = [matrix(1), matrix(2)]
    matrices[which][entry] = value
    a, b = (values.requires_grad_() for values in matrices)
    distance = squared_distance(a, b, name)
    assert distance.shape == ()
    assert not distance.isfinite()
    gradients = torch.autograd.grad(distance, (a, b))
    assert not all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", DISTANCES)
def test_finite_entries_make_a_finite_distance(name: str) -> None:
    assert squared_distance(matrix(1), matrix(2), name).isfinite()


@pytest.mark.parametrize("value", VALUES)
def test_other_statistics_pass_it_on(value: float) -> None:
    features_BD = torch.ones(3, 2)
    features_BD[1, 0] = value
    assert not covariance(features_BD, torch.ones(3, 2)).isfinite().all()
    assert not covariance(torch.ones(3, 2), features_BD).isfinite().all()
    assert not gram(features_BD, torch.ones(3, 2)).isfinite().all()
    spoiled = matrix(1)
    spoiled[0, 0] = value
    assert not omega(spoiled).isfinite()
    assert not effective_rank(spoiled).isfinite()
    logits_BK = torch.zeros(3, 4)
    logits_BK[1, 2] = value
    if value > 0 or math.isnan(value):
        assert kl(logits_BK, torch.zeros(3, 4)).isfinite().tolist() == [True, False, True]
        assert kl(torch.zeros(3, 4), logits_BK).isfinite().tolist() == [True, False, True]
