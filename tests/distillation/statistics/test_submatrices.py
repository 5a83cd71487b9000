"""The student's blocks and Omega, Eq. 10."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.distillation.statistics.covariance import covariance
from core.distillation.statistics.submatrices import blocks, omega

small_integers = st.integers(-3, 3)


def slow_omega(matrix: Tensor, factor: float) -> float:
    """Omega by entry: blocks (1,2), (2,1) and (2,2) against block (1,1)."""
    entries = matrix.tolist()
    half = len(entries) // 2
    total = 0.0
    for row_shift, column_shift in ((0, half), (half, 0), (half, half)):
        for i in range(half):
            for j in range(half):
                total += (entries[i + row_shift][j + column_shift] - entries[i][j]) ** 2
    return factor * total


def test_blocks_are_the_four_quarters_row_by_row() -> None:
    quarters = blocks(torch.arange(16).reshape(4, 4))
    assert [quarter.tolist() for quarter in quarters] == [
        [[0, 1], [4, 5]],
        [[2, 3], [6, 7]],
        [[8, 9], [12, 13]],
        [[10, 11], [14, 15]],
    ]


def test_omega_by_hand() -> None:
    # Half of (2 - 1)^2 + (3 - 1)^2 + (5 - 1)^2.
    assert omega(torch.tensor([[1.0, 2.0], [3.0, 5.0]])).item() == 10.5


def test_omega_equals_the_slow_formula() -> None:
    """Half the squared differences of three blocks from the first."""
    matrix = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert abs(omega(matrix).item() - slow_omega(matrix, 0.5)) < 1e-12
    assert abs(omega(matrix, factor=3.0).item() - slow_omega(matrix, 3.0)) < 1e-11


@given(st.lists(small_integers, min_size=16, max_size=16))
@settings(max_examples=50, deadline=None)
def test_omega_agrees_with_the_slow_formula_on_any_matrix(entries: list[int]) -> None:
    matrix = torch.tensor(entries, dtype=torch.float64).reshape(4, 4)
    assert omega(matrix).item() == slow_omega(matrix, 0.5)


@given(st.lists(small_integers, min_size=4, max_size=4), st.integers(0, 15), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_omega_is_zero_where_all_blocks_are_equal_and_only_there(
    entries: list[int], index: int, change: int
) -> None:
    block = torch.tensor(entries, dtype=torch.float64).reshape(2, 2)
    matrix = block.repeat(2, 2)
    assert omega(matrix).item() == 0
    matrix.view(-1)[index] += change
    assert omega(matrix).item() > 0


def test_omega_of_a_covariance_is_zero_for_equal_views() -> None:
    features = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert omega(covariance(features, features)).item() < 1e-28
    assert omega(covariance(features, 2 * features)).item() > 0.1


def test_gradient_of_omega() -> None:
    matrix = torch.randn(
        6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True
    )
    assert torch.autograd.gradcheck(omega, (matrix,))
