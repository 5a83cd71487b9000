"""The four squared distances between semi-definite matrices, Section 3.2 and Table 8."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.distillation.statistics.distances import (
    DISTANCES,
    frobenius,
    max_exp,
    max_exp_distance,
    normal_kl,
    power_euclidean,
    squared_distance,
    with_ridge,
)
from core.jobspec.training.starship import (
    FrobeniusSettings,
    MaxExpSettings,
    NormalKlSettings,
    PowerEuclideanSettings,
)

Array = np.ndarray[Any, Any]

ALL = ["frobenius", "power_euclidean", "max_exp", "kl"]
METRICS = ["frobenius", "power_euclidean", "max_exp"]
ETAS = [1, 2, 3, 7, 10, 20]


def semi_definite(size: int, rank: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    factors = torch.randn(
        rank, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return (factors.T @ factors / rank).to(dtype)


def orthogonal(size: int, seed: int) -> Tensor:
    square = torch.randn(
        size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    factor: Tensor = torch.linalg.qr(square).Q
    return factor


# -- the slow formulas, in numpy and scipy


def slow_frobenius(a: Array, b: Array) -> float:
    size = len(a)
    return float(sum((a[i, j] - b[i, j]) ** 2 for i in range(size) for j in range(size)))


def ridged(matrix: Array, ridge: float) -> Array:
    result: Array = matrix + ridge * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
    return result


def slow_power_euclidean(a: Array, b: Array, gamma: float = 0.5, ridge: float = 1e-3) -> float:
    powers = [
        scipy.linalg.fractional_matrix_power(ridged(matrix, ridge), gamma) for matrix in (a, b)
    ]
    return slow_frobenius(*powers)


def slow_psi(matrix: Array, eta: int, ridge: float) -> Array:
    """Map the spectrum by x -> 1 - (1 - x)^eta, eigenvector by eigenvector."""
    values, vectors = np.linalg.eigh(matrix / (np.trace(matrix) + ridge))
    result: Array = np.zeros_like(matrix)
    for value, vector in zip(values, vectors.T, strict=True):
        result = result + (1 - (1 - value) ** eta) * np.outer(vector, vector)
    return result


def slow_max_exp(a: Array, b: Array, eta: int = 10, ridge: float = 1e-6) -> float:
    return slow_frobenius(slow_psi(a, eta, ridge), slow_psi(b, eta, ridge))


def slow_normal_kl(
    a: Array,
    b: Array,
    ridge: float = 1e-3,
    means: tuple[Array, Array] | None = None,
) -> float:
    """KL(N(mean_a, a) || N(mean_b, b)) by inverse and determinants."""
    a = ridged(a, ridge)
    b = ridged(b, ridge)
    shift = np.zeros(len(a)) if means is None else means[1] - means[0]
    inverse = np.linalg.inv(b)
    log_determinants = np.linalg.slogdet(b)[1] - np.linalg.slogdet(a)[1]
    mahalanobis = shift @ inverse @ shift
    return float(0.5 * (np.trace(inverse @ a) + mahalanobis - len(a) + log_determinants))


SLOW: dict[str, Callable[..., float]] = {
    "frobenius": slow_frobenius,
    "power_euclidean": slow_power_euclidean,
    "max_exp": slow_max_exp,
    "kl": slow_normal_kl,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("ranks", [(6, 6), (2, 6), (6, 3), (2, 3)])
def test_each_distance_by_its_defaults_equals_the_slow_formula(
    name: str, ranks: tuple[int, int]
) -> None:
    a = semi_definite(6, ranks[0], seed=1)
    b = semi_definite(6, ranks[1], seed=2)
    expected = SLOW[name](a.numpy(), b.numpy())
    assert squared_distance(a, b, name).item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("power_euclidean", {"gamma": 0.25, "ridge": 0.02}),
        ("power_euclidean", {"gamma": 1.0, "ridge": 0.1}),
        ("max_exp", {"eta": 3, "ridge": 0.5}),
        ("max_exp", {"eta": 20, "ridge": 1e-9}),
        ("kl", {"ridge": 0.1}),
    ],
)
def test_each_setting_enters_as_in_the_slow_formula(name: str, parameters: dict[str, Any]) -> None:
    a = semi_definite(5, 3, seed=3)
    b = semi_definite(5, 4, seed=4)
    expected = SLOW[name](a.numpy(), b.numpy(), **parameters)
    assert squared_distance(a, b, name, **parameters).item() == pytest.approx(expected, rel=1e-8)


def test_frobenius_by_hand() -> None:
    a = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    b = torch.tensor([[1.0, -1.0], [-1.0, 0.0]])
    assert frobenius(a, b).item() == 1 + 4 + 4 + 9


def test_power_euclidean_by_hand() -> None:
    a = torch.diag(torch.tensor([4.0, 9.0]))
    b = torch.eye(2)
    # Square roots diag(2, 3) and diag(1, 1).
    assert power_euclidean(a, b, gamma=0.5, ridge=0).item() == pytest.approx(1 + 4)
    # Eigenvalues 3 along (1, 1) and 1 along (1, -1): the root has (sqrt 3 + 1) / 2 on the diagonal
    # and (sqrt 3 - 1) / 2 beside it.
    a = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    diagonal = (math.sqrt(3) + 1) / 2 - 1
    off_diagonal = (math.sqrt(3) - 1) / 2
    assert power_euclidean(a, b, gamma=0.5, ridge=0).item() == pytest.approx(
        2 * diagonal**2 + 2 * off_diagonal**2, rel=1e-5
    )


@pytest.mark.parametrize("gamma", [0.25, 0.5, 1.0])
def test_power_euclidean_is_without_drydens_factor(gamma: float) -> None:
    """Dryden et al.: d = ||a^gamma - b^gamma|| / gamma, so gamma^2 d^2 is what is computed."""
    a = torch.diag(torch.tensor([16.0, 1.0]).double())
    b = torch.diag(torch.tensor([1.0, 81.0]).double())
    drydens = math.sqrt((16**gamma - 1) ** 2 + (1 - 81**gamma) ** 2) / gamma
    value = power_euclidean(a, b, gamma=gamma, ridge=0).item()
    assert value == pytest.approx(gamma**2 * drydens**2, rel=1e-12)


def test_max_exp_by_hand() -> None:
    a = torch.diag(torch.tensor([1.0, 3.0]))
    b = torch.diag(torch.tensor([2.0, 2.0]))
    # Over the trace: 1/4 and 3/4; 1 - (3/4)^2 = 7/16 and 1 - (1/4)^2 = 15/16; for b both are 3/4.
    psi = max_exp(a, eta=2, ridge=0)
    torch.testing.assert_close(psi, torch.diag(torch.tensor([7 / 16, 15 / 16])))
    assert max_exp_distance(a, b, eta=2, ridge=0).item() == pytest.approx(
        (5 / 16) ** 2 + (3 / 16) ** 2
    )
    # The ridge is added to the trace: 1/8 and 3/8 for trace 4 and ridge 4.
    torch.testing.assert_close(max_exp(a, eta=1, ridge=4), torch.diag(torch.tensor([1 / 8, 3 / 8])))


def test_kl_between_normals_by_hand_and_its_direction() -> None:
    wide = torch.tensor([[4.0]])
    narrow = torch.tensor([[1.0]])
    # KL(N(0, 4) || N(0, 1)) = (4 - 1 - ln 4) / 2; the other way round (1/4 - 1 + ln 4) / 2.
    assert normal_kl(wide, narrow, ridge=0).item() == pytest.approx((3 - math.log(4)) / 2, rel=1e-5)
    assert normal_kl(narrow, wide, ridge=0).item() == pytest.approx(
        (-0.75 + math.log(4)) / 2, rel=1e-5
    )


def test_kl_per_dimension_is_the_nats_over_the_size() -> None:
    a = semi_definite(5, 3, seed=3)
    b = semi_definite(5, 4, seed=4)
    assert normal_kl(a, b, per_dimension=True).item() == pytest.approx(
        normal_kl(a, b).item() / 5, rel=1e-12
    )


def test_kl_measures_means_by_the_second_covariance() -> None:
    means = (torch.tensor([1.0]), torch.tensor([3.0]))
    wide = torch.tensor([[4.0]])
    narrow = torch.tensor([[1.0]])
    # (1/4 + 2^2 / 4 - 1 + ln 4) / 2.
    assert normal_kl(narrow, wide, ridge=0, means=means).item() == pytest.approx(
        (0.25 + math.log(4)) / 2, rel=1e-5
    )


def test_kl_with_means_equals_the_slow_formula() -> None:
    a = semi_definite(5, 2, seed=5)
    b = semi_definite(5, 5, seed=6)
    means = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    expected = slow_normal_kl(a.numpy(), b.numpy(), 0.01, (means[0].numpy(), means[1].numpy()))
    assert normal_kl(a, b, 0.01, means=(means[0], means[1])).item() == pytest.approx(
        expected, rel=1e-9
    )


def test_kl_is_the_expected_log_ratio_of_densities() -> None:
    """The expectation is taken under the first normal distribution."""
    a = semi_definite(2, 3, seed=8)
    b = semi_definite(2, 3, seed=9)
    rng = np.random.default_rng(0)
    first = scipy.stats.multivariate_normal(np.zeros(2), a.numpy())
    second = scipy.stats.multivariate_normal(np.array([0.3, -0.2]), b.numpy())
    samples = first.rvs(200_000, random_state=rng)
    estimate = float(np.mean(first.logpdf(samples) - second.logpdf(samples)))
    means = (torch.zeros(2, dtype=torch.float64), torch.tensor([0.3, -0.2], dtype=torch.float64))
    assert normal_kl(a, b, ridge=0, means=means).item() == pytest.approx(estimate, rel=0.02)


def test_ridge_is_relative_to_the_mean_eigenvalue() -> None:
    """The matrix is symmetrized first."""
    # trace / N = 2, of which half is added to the diagonal; 1 and 3 beside it become 2 and 2.
    matrix = torch.tensor([[1.0, 1.0], [3.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(
        with_ridge(matrix, 0.5), torch.tensor([[2.0, 2.0], [2.0, 4.0]], dtype=torch.float64)
    )


# -- the table


def test_the_table_has_exactly_the_distances_of_the_spec() -> None:
    assert set(DISTANCES) == {
        kind().name
        for kind in (FrobeniusSettings, PowerEuclideanSettings, MaxExpSettings, NormalKlSettings)
    }


@pytest.mark.parametrize(
    "kind", [FrobeniusSettings, PowerEuclideanSettings, MaxExpSettings, NormalKlSettings]
)
def test_defaults_of_the_spec_are_those_of_the_distances(kind: Any) -> None:
    """Every setting of the spec is one of the distance, with the same default."""
    a = semi_definite(4, 4, seed=1)
    b = semi_definite(4, 4, seed=2)
    parameters = kind().model_dump()
    name = parameters.pop("name")
    # The distance itself is in nats; a job's is divided by the size, by default.
    assert parameters.pop("per_dimension", True)
    torch.testing.assert_close(
        squared_distance(a, b, name, **parameters), squared_distance(a, b, name), rtol=0, atol=0
    )


def test_unknown_distance_is_a_value_error_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"no distance 'wasserstein'.*frobenius, power_euclidean, max_exp, kl"
    ):
        squared_distance(torch.eye(2), torch.eye(2), "wasserstein")


def test_unknown_setting_of_a_distance_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        squared_distance(torch.eye(2), torch.eye(2), "frobenius", eta=3)


# -- MaxExp by repeated squaring


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the names of all operations that run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))

    @property
    def products(self) -> int:
        return sum(
            name in ("mm", "bmm", "matmul", "addmm", "linalg_matrix_power") for name in self.names
        )


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("rank", [2, 8])
def test_max_exp_equals_the_eigendecomposition(eta: int, rank: int) -> None:
    matrix = semi_definite(8, rank, seed=eta)
    np.testing.assert_allclose(
        max_exp(matrix, eta).numpy(), slow_psi(matrix.numpy(), eta, 1e-6), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("eta", [*ETAS, 15, 16, 1000])
def test_max_exp_takes_at_most_2_log2_eta_products(eta: int) -> None:
    """It needs no eigendecomposition."""
    matrix = semi_definite(4, 4, seed=0)
    with Operations() as operations:
        max_exp(matrix, eta)
    assert operations.products <= 2 * math.log2(eta)
    assert not [name for name in operations.names if "eig" in name or "svd" in name]


def test_eta_1_takes_no_product_and_leaves_the_spectrum_as_it_is() -> None:
    matrix = semi_definite(4, 2, seed=0)
    with Operations() as operations:
        psi = max_exp(matrix, 1, ridge=0)
    assert operations.products == 0
    torch.testing.assert_close(psi, matrix / matrix.trace())


@pytest.mark.parametrize("eta", [0, -3])
def test_an_eta_below_one_is_refused(eta: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        max_exp(torch.eye(2), eta)


@pytest.mark.parametrize("eta", ETAS)
def test_max_exp_maps_the_spectrum_into_0_to_1(eta: int) -> None:
    """Eigenvectors and the order of eigenvalues stay the same."""
    matrix = semi_definite(6, 4, seed=eta)
    before, vectors = torch.linalg.eigh(matrix)
    after = (vectors.T @ max_exp(matrix, eta) @ vectors).diagonal()
    off_diagonal = vectors.T @ max_exp(matrix, eta) @ vectors - torch.diag(after)
    assert off_diagonal.abs().max() < 1e-12
    assert after.min() > -1e-12
    assert after.max() < 1
    assert (after.diff() > -1e-12).all()
    # Flatter: the ratio of the largest to the smallest eigenvalue that is not 0 falls.
    if eta > 1:
        assert after[-1] / after[2] < before[-1] / before[2]


def test_max_exp_ignores_scale_where_the_ridge_is_negligible() -> None:
    matrix = semi_definite(5, 3, seed=1)
    torch.testing.assert_close(
        max_exp(1000 * matrix, 10, ridge=1e-12), max_exp(matrix, 10, ridge=1e-12)
    )


# -- what makes a distance


@pytest.mark.parametrize("name", ALL)
def test_distance_to_itself_and_its_gradient_are_zero(name: str) -> None:
    a = semi_definite(6, 3, seed=1).requires_grad_()
    b = a.detach().clone().requires_grad_()
    distance = squared_distance(a, b, name)
    gradients = torch.autograd.grad(distance, (a, b))
    assert distance.item() == pytest.approx(0, abs=1e-10)
    assert all(gradient.abs().max() < 1e-9 for gradient in gradients)


@given(st.lists(st.integers(-3, 3), min_size=18, max_size=18), st.sampled_from(ALL))
@settings(max_examples=100, deadline=None)
def test_no_distance_is_negative_and_the_metrics_are_symmetric(
    entries: list[int], name: str
) -> None:
    factors = torch.tensor(entries, dtype=torch.float64).reshape(2, 3, 3)
    a, b = (factor.T @ factor for factor in factors)
    forward = squared_distance(a, b, name).item()
    backward = squared_distance(b, a, name).item()
    assert forward >= -1e-9
    if name in METRICS:
        assert forward == pytest.approx(backward, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_no_distance_depends_on_the_choice_of_axes(name: str) -> None:
    a = semi_definite(5, 3, seed=1)
    b = semi_definite(5, 5, seed=2)
    turn = orthogonal(5, seed=3)
    turned = squared_distance(turn @ a @ turn.T, turn @ b @ turn.T, name)
    torch.testing.assert_close(turned, squared_distance(a, b, name), rtol=1e-8, atol=1e-10)


def test_kl_without_ridge_is_invariant_to_coordinates() -> None:
    """It does not depend on any linear change of coordinates."""
    a = semi_definite(4, 6, seed=1)
    b = semi_definite(4, 6, seed=2)
    change = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    changed = normal_kl(change @ a @ change.T, change @ b @ change.T, ridge=0)
    torch.testing.assert_close(changed, normal_kl(a, b, ridge=0), rtol=1e-7, atol=1e-9)


# -- gradients


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("ranks", [(4, 4), (2, 3), (1, 4)])
def test_gradients_of_each_distance(name: str, ranks: tuple[int, int]) -> None:
    a, b = (semi_definite(4, rank, seed=rank + 10).requires_grad_() for rank in ranks)
    parameters = {} if name in ("frobenius", "max_exp") else {"ridge": 0.05}
    assert torch.autograd.gradcheck(lambda a, b: squared_distance(a, b, name, **parameters), (a, b))


REPEATED = {
    "identity": torch.eye(4, dtype=torch.float64),
    "two_pairs": torch.diag(torch.tensor([1.0, 1.0, 3.0, 3.0], dtype=torch.float64)),
    "turned_pair": orthogonal(4, 1)
    @ torch.diag(torch.tensor([1.0, 2.0, 2.0, 5.0], dtype=torch.float64))
    @ orthogonal(4, 1).T,
    "nearly_a_pair": torch.diag(
        torch.tensor([1.0, 1.0 + 1e-9, 2.0, 2.0 + 2e-4], dtype=torch.float64)
    ),
    "rank_1": torch.ones(4, 4, dtype=torch.float64),
    "rank_2": torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)),
}


@pytest.mark.parametrize("case", REPEATED)
@pytest.mark.parametrize("gamma", [0.5, 0.25, 1.0])
def test_power_euclidean_gradient_at_repeated_eigenvalues(case: str, gamma: float) -> None:
    """Where eigenvalues repeat or vanish."""
    a = REPEATED[case].clone().requires_grad_()
    b = semi_definite(4, 2, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: power_euclidean(a, b, gamma, ridge=0.02), (a, b), eps=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("case", REPEATED)
@pytest.mark.parametrize("eta", ETAS)
def test_max_exp_gradient_at_repeated_eigenvalues(case: str, eta: int) -> None:
    """Where eigenvalues repeat or vanish."""
    a = REPEATED[case].clone().requires_grad_()
    b = semi_definite(4, 2, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: max_exp_distance(a, b, eta), (a, b))


@pytest.mark.parametrize("case", REPEATED)
def test_kl_gradient_with_means_at_repeated_eigenvalues(case: str) -> None:
    """Where eigenvalues repeat or vanish."""
    a = REPEATED[case].clone().requires_grad_()
    b = semi_definite(4, 2, seed=3).requires_grad_()
    means = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    mean_a = means[0].requires_grad_()
    mean_b = means[1].requires_grad_()

    def distance(a: Tensor, b: Tensor, mean_a: Tensor, mean_b: Tensor) -> Tensor:
        return normal_kl(a, b, ridge=0.05, means=(mean_a, mean_b))

    assert torch.autograd.gradcheck(distance, (a, b, mean_a, mean_b))


def test_gradient_of_the_root_solves_the_sylvester_equation() -> None:
    # X X = M, so dX X + X dX = dM: the same derivative without any eigendecomposition.
    matrix = semi_definite(5, 5, seed=1)
    target = semi_definite(5, 5, seed=2)
    (gradient,) = torch.autograd.grad(
        power_euclidean(matrix.requires_grad_(), target, 0.5, ridge=0), matrix
    )
    root, other = (scipy.linalg.sqrtm(m.detach().numpy()).real for m in (matrix, target))
    expected = scipy.linalg.solve_sylvester(root, root, 2 * (root - other))
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-8, atol=1e-10)


# -- single precision at working size


def pairs_at_working_size() -> dict[str, tuple[Tensor, Tensor]]:
    a, b = (semi_definite(256, 10, seed, torch.float32) for seed in (1, 2))
    zero = torch.zeros(256, 256)
    return {
        "rank 10": (a, b),
        "equal": (a, a.clone()),
        "features of unit length": (a / a.trace(), b / b.trace()),
        "left zero": (zero, b),
        "right zero": (a, zero),
        "both zero": (zero, zero.clone()),
        "repeated eigenvalues": (torch.eye(256), b),
    }


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("case", pairs_at_working_size())
def test_single_precision_is_finite_at_working_size(name: str, case: str) -> None:
    """Values and gradients of 256 x 256 matrices in single precision are numbers."""
    a, b = (matrix.requires_grad_() for matrix in pairs_at_working_size()[case])
    distance = squared_distance(a, b, name)
    gradients = torch.autograd.grad(distance, (a, b))
    assert distance.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    if case in ("equal", "both zero"):
        assert distance.item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("name", "value_tolerance", "gradient_tolerance"),
    [
        ("frobenius", 1e-5, 1e-6),
        ("power_euclidean", 1e-4, 5e-3),
        ("max_exp", 1e-4, 1e-4),
        ("kl", 5e-3, 1e-2),
    ],
)
def test_single_precision_agrees_with_double_at_working_size(
    name: str, value_tolerance: float, gradient_tolerance: float
) -> None:
    a, b = pairs_at_working_size()["rank 10"]
    single = squared_distance(a, b.requires_grad_(), name)
    (gradient,) = torch.autograd.grad(single, b)
    a = a.double()
    b = b.detach().double().requires_grad_()
    double = squared_distance(a, b, name)
    (expected,) = torch.autograd.grad(double, b)
    assert single.item() == pytest.approx(double.item(), rel=value_tolerance)
    assert ((gradient.double() - expected).norm() / expected.norm()).item() < gradient_tolerance


@pytest.mark.parametrize("name", ["power_euclidean", "kl"])
@pytest.mark.parametrize(
    "scale",
    [
        100.0,
        1.0,
        1e-4,
    ],
)
def test_single_precision_ridge_is_relative_at_any_scale(name: str, scale: float) -> None:
    """The ridge is relative whatever the size of the entries."""
    # The Gram matrix of undecided predictions over 100 classes has entries of 1e-4. Both distances
    # are homogeneous.
    a, b = pairs_at_working_size()["rank 10"]
    expected = squared_distance(a.double(), b.double(), name).item()
    if name == "power_euclidean":
        expected *= scale
    assert squared_distance(scale * a, scale * b, name).item() == pytest.approx(expected, rel=0.005)
