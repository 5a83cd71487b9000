"""The joint covariance of clean and adversarial features, Eq. 5, and the effective rank."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.distillation.statistics.covariance import covariance, effective_rank


def features(samples: int, channels: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean, shift = torch.randn(2, samples, channels, dtype=torch.float64, generator=generator)
    return clean + 3, 0.5 * clean - shift + 1


def slow_covariance(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Covariance by sample and channel, divided by the number of samples."""
    rows = [c + a for c, a in zip(clean.tolist(), adversarial.tolist(), strict=True)]
    samples = len(rows)
    channels = len(rows[0])
    means = [sum(row[i] for row in rows) / samples for i in range(channels)]
    entries = [
        [
            sum((row[i] - means[i]) * (row[j] - means[j]) for row in rows) / samples
            for j in range(channels)
        ]
        for i in range(channels)
    ]
    return torch.tensor(entries, dtype=torch.float64)


@pytest.mark.parametrize(("samples", "channels"), [(1, 2), (2, 3), (5, 3), (12, 2)])
def test_covariance_equals_the_slow_formula(samples: int, channels: int) -> None:
    """The mean outer product of centered joined channels."""
    clean, adversarial = features(samples, channels, seed=samples)
    torch.testing.assert_close(
        covariance(clean, adversarial), slow_covariance(clean, adversarial), rtol=1e-12, atol=1e-12
    )


def test_covariance_of_two_samples_by_hand() -> None:
    # Centered: clean -1, 1; adversarial -2, 2. Products 2, 4, 8, divided by two samples, not one.
    clean = torch.tensor([[1.0], [3.0]])
    adversarial = torch.tensor([[2.0], [6.0]])
    assert covariance(clean, adversarial).tolist() == [[1.0, 2.0], [2.0, 4.0]]


def test_the_blocks_are_nat_nat_nat_adv_adv_nat_and_adv_adv() -> None:
    clean, adversarial = features(9, 3, seed=0)
    matrix = covariance(clean, adversarial)
    z = clean - clean.mean(0)
    z_hat = adversarial - adversarial.mean(0)
    torch.testing.assert_close(matrix[:3, :3], z.T @ z / 9)
    torch.testing.assert_close(matrix[:3, 3:], z.T @ z_hat / 9)
    torch.testing.assert_close(matrix[3:, :3], z_hat.T @ z / 9)
    torch.testing.assert_close(matrix[3:, 3:], z_hat.T @ z_hat / 9)


@given(st.permutations(range(7)))
@settings(max_examples=25, deadline=None)
def test_covariance_is_invariant_to_a_permutation_of_the_samples(order: list[int]) -> None:
    clean, adversarial = features(7, 3, seed=1)
    torch.testing.assert_close(
        covariance(clean[order], adversarial[order]), covariance(clean, adversarial)
    )


def test_covariance_depends_on_which_views_belong_together() -> None:
    """A permutation of one view alone changes it."""
    clean, adversarial = features(7, 3, seed=1)
    assert not torch.allclose(
        covariance(clean, adversarial.roll(1, dims=0)), covariance(clean, adversarial)
    )


def test_covariance_ignores_a_constant_added_to_a_channel() -> None:
    clean, adversarial = features(7, 3, seed=2)
    shifted = covariance(clean + torch.tensor([5.0, -2.0, 0.0]), adversarial - 4)
    torch.testing.assert_close(shifted, covariance(clean, adversarial))


@pytest.mark.parametrize(("samples", "rank"), [(4, 3), (6, 5), (9, 6)])
def test_covariance_is_semi_definite_and_may_be_singular(samples: int, rank: int) -> None:
    """Symmetric; singular up to twice as many samples as channels of a view."""
    matrix = covariance(*features(samples, 3, seed=3))
    eigenvalues = torch.linalg.eigvalsh(matrix)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=0)
    assert eigenvalues.min() > -1e-12
    assert int((eigenvalues > 1e-10).sum()) == rank


def test_equal_views_make_all_four_blocks_equal() -> None:
    clean, _ = features(6, 2, seed=4)
    matrix = covariance(clean, clean)
    for block in (matrix[:2, 2:], matrix[2:, :2], matrix[2:, 2:]):
        torch.testing.assert_close(block, matrix[:2, :2])


def test_gradient_of_covariance() -> None:
    clean, adversarial = (view.requires_grad_() for view in features(4, 3, seed=5))
    assert torch.autograd.gradcheck(covariance, (clean, adversarial))


def test_effective_rank_by_hand() -> None:
    # (3 + 1)^2 / (9 + 1)
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))).item() == pytest.approx(1.6)
    # One direction: (1 + 4)^2 / (1 + 4 + 4 + 16)
    assert effective_rank(torch.tensor([[1.0, 2.0], [2.0, 4.0]])).item() == pytest.approx(1.0)
    assert effective_rank(torch.eye(7)).item() == pytest.approx(7.0)


def test_effective_rank_is_that_of_the_eigenvalues() -> None:
    matrix = covariance(*features(9, 4, seed=6))
    eigenvalues = torch.linalg.eigvalsh(matrix)
    torch.testing.assert_close(
        effective_rank(matrix), eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    )


def test_effective_rank_of_a_zero_matrix_is_zero() -> None:
    assert effective_rank(torch.zeros(4, 4)).item() == 0


@given(
    st.lists(st.floats(min_value=0, max_value=100), min_size=1, max_size=6),
    st.floats(min_value=1e-3, max_value=1e3),
)
@settings(max_examples=50, deadline=None)
def test_effective_rank_is_between_1_and_the_size(eigenvalues: list[float], scale: float) -> None:
    """It does not depend on the scale of the matrix."""
    matrix = torch.diag(torch.tensor([*eigenvalues, 1.0], dtype=torch.float64))
    rank = effective_rank(matrix).item()
    assert 1 - 1e-9 <= rank <= len(matrix) + 1e-9
    assert effective_rank(scale * matrix).item() == pytest.approx(rank)
