"""Squared distances between symmetric positive semi-definite matrices.

STARSHIP, Section 3.2 and Table 8.

N is a matrix's size. Autocast must be off. Power-Euclidean and KL, which are badly conditioned
where a matrix is nearly singular, are computed in double precision and returned in the matrices'
own; the others are computed in the matrices' own. A matrix that is not finite gives a distance that
is not finite.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

RIDGE_OF_ZERO = 1e-14
"""Added to the diagonal beside the relative ridge: it matters for a matrix of zeros alone."""
CLOSE_EIGENVALUES = 1e-4
"""Relative gap of two eigenvalues below which their divided difference is not computed."""


def squared_distance(a_NN: Tensor, b_NN: Tensor, name: str, **settings: Any) -> Tensor:
    """Return d^2(a, b) of two matrices, scalar, by the distance called ``name``: see DISTANCES.

    For ``kl``, ``a`` is the target (teacher) and ``b`` the approximation (student).
    Raises ValueError for an unknown name, TypeError for a setting that the distance does not have.
    """
    if name not in DISTANCES:
        raise ValueError(f"There is no distance {name!r}; there are {', '.join(DISTANCES)}.")
    return DISTANCES[name](a_NN, b_NN, **settings)


def frobenius(a_NN: Tensor, b_NN: Tensor) -> Tensor:
    """Return ||a - b||_F^2, scalar."""
    return (a_NN - b_NN).square().sum()


def power_euclidean(a_NN: Tensor, b_NN: Tensor, gamma: float = 0.5, ridge: float = 1e-3) -> Tensor:
    """Return ||a^gamma - b^gamma||_F^2, scalar.

    Without the factor 1 / gamma^2 that the square of Dryden, Koloydenko and Zhou's distance (2009)
    has, ||a^gamma - b^gamma||_F / gamma: it is a constant, and the distance's weight can have it.
    ridge * trace / N is added to both diagonals first.
    """
    if not _finite(a_NN, b_NN):
        return (a_NN - b_NN).sum() * torch.nan
    powers = [_power(with_ridge(matrix.double(), ridge), gamma) for matrix in (a_NN, b_NN)]
    return frobenius(*powers).to(a_NN.dtype)


def max_exp_distance(a_NN: Tensor, b_NN: Tensor, eta: int = 10, ridge: float = 1e-6) -> Tensor:
    """Return ||psi(a) - psi(b)||_F^2 with psi = :func:`max_exp`, scalar."""
    return frobenius(max_exp(a_NN, eta, ridge), max_exp(b_NN, eta, ridge))


def max_exp(matrix_NN: Tensor, eta: int, ridge: float = 1e-6) -> Tensor:
    """Return psi(M) = I - (I - M / (trace M + ridge))^eta, [N, N].

    It flattens the spectrum of M into [0, 1]. By repeated squaring: at most 2 log2(eta) products
    and no eigendecomposition, whose gradient is not defined where eigenvalues repeat, as the zeros
    of a rank-deficient M do.
    """
    matrix_NN = (matrix_NN + matrix_NN.T) / 2
    identity = torch.eye(len(matrix_NN), dtype=matrix_NN.dtype, device=matrix_NN.device)
    base: Tensor = identity - matrix_NN / (matrix_NN.diagonal().sum() + ridge)
    psi: Tensor = identity - _integer_power(base, eta)
    return psi


def _integer_power(base_NN: Tensor, exponent: int) -> Tensor:
    """Return base^exponent by repeated squaring, bit by bit of the exponent."""
    if exponent < 1:
        raise ValueError(f"eta must be a whole number of at least 1, not {exponent}.")
    result: Tensor | None = None
    while True:
        if exponent & 1:
            result = base_NN if result is None else result @ base_NN
        exponent >>= 1
        if result is not None and not exponent:
            return result
        base_NN = base_NN @ base_NN


def normal_kl(
    a_NN: Tensor,
    b_NN: Tensor,
    ridge: float = 1e-3,
    means: tuple[Tensor, Tensor] | None = None,
    per_dimension: bool = False,
) -> Tensor:
    """Return KL(N(mean_a, a) || N(mean_b, b)) in nats, scalar; divided by N if ``per_dimension``.

    ridge * trace / N is added to both diagonals first.
    ``means``: two vectors [N]; None stands for equal means.
    """
    if not _finite(a_NN, b_NN):
        return (a_NN - b_NN).sum() * torch.nan
    size = len(a_NN)
    chol_a = torch.linalg.cholesky(with_ridge(a_NN.double(), ridge))
    chol_b = torch.linalg.cholesky(with_ridge(b_NN.double(), ridge))
    whitened = torch.linalg.solve_triangular(chol_b, chol_a, upper=False)
    log_determinants = chol_b.diagonal().log().sum() - chol_a.diagonal().log().sum()
    divergence: Tensor = 0.5 * (whitened.square().sum() - size) + log_determinants
    if means is not None:
        shift = (means[1] - means[0]).double().unsqueeze(1)
        whitened_shift = torch.linalg.solve_triangular(chol_b, shift, upper=False)
        divergence = divergence + 0.5 * whitened_shift.square().sum()
    if per_dimension:
        divergence = divergence / size
    return divergence.to(a_NN.dtype)


def _finite(a_NN: Tensor, b_NN: Tensor) -> bool:
    """Return whether all entries are finite.

    Decompositions raise an error where they are not; the loss should rather become NaN, so that the
    job fails with the name of the term.
    """
    return bool(a_NN.isfinite().all() & b_NN.isfinite().all())


def with_ridge(matrix_NN: Tensor, ridge: float) -> Tensor:
    """Return M, symmetrized, with ridge * trace M / N added to its diagonal.

    A singular matrix becomes positive definite by it.
    """
    matrix_NN = (matrix_NN + matrix_NN.T) / 2
    size = len(matrix_NN)
    amount = ridge * matrix_NN.diagonal().sum() / size + RIDGE_OF_ZERO
    identity = torch.eye(size, dtype=matrix_NN.dtype, device=matrix_NN.device)
    ridged: Tensor = matrix_NN + amount * identity
    return ridged


def _power(matrix_NN: Tensor, gamma: float) -> Tensor:
    result: Tensor = _SymmetricPower.apply(matrix_NN, gamma)
    return result


class _SymmetricPower(torch.autograd.Function):
    """M^gamma by eigendecomposition.

    Its gradient is the Daleckii-Krein derivative, which is defined where eigenvalues repeat, too;
    that of torch.linalg.eigh is not.
    """

    @staticmethod
    def forward(ctx: Any, matrix_NN: Tensor, gamma: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix_NN)
        values = values.clamp_min(torch.finfo(matrix_NN.dtype).tiny)
        ctx.save_for_backward(values, vectors)
        ctx.gamma = gamma
        power: Tensor = (vectors * values**gamma) @ vectors.T
        return power

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, vectors = ctx.saved_tensors
        gamma = ctx.gamma
        powers = values**gamma
        gaps = values[:, None] - values[None, :]
        midpoints = (values[:, None] + values[None, :]) / 2
        # Where two eigenvalues (nearly) meet, the divided difference becomes the derivative
        # between them.
        close = gaps.abs() <= CLOSE_EIGENVALUES * midpoints
        divisors = torch.where(close, torch.ones_like(gaps), gaps)
        differences = (powers[:, None] - powers[None, :]) / divisors
        slopes = torch.where(close, gamma * midpoints ** (gamma - 1), differences)
        rotated = vectors.T @ ((gradients[0] + gradients[0].T) / 2) @ vectors
        return vectors @ (slopes * rotated) @ vectors.T, None


DISTANCES: dict[str, Callable[..., Tensor]] = {
    "frobenius": frobenius,
    "power_euclidean": power_euclidean,
    "max_exp": max_exp_distance,
    "kl": normal_kl,
}
"""By the name in a spec. The settings of each are the keyword arguments of its function."""
