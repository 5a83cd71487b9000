"""Squared distances between symmetric positive semi-definite matrices, STARSHIP Section 3.2 and Table 8.

Autocast must be off. Power-Euclidean and KL, which are badly conditioned where a matrix is nearly singular, are computed
in double precision and returned in the matrices' own; the others are computed in their own. A matrix that is not finite
gives a distance that is not finite. N is a matrix's size.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

RIDGE_OF_ZERO = 1e-14
"""On the diagonal, beside the relative ridge: of consequence to a matrix of zeros alone."""


def squared_distance(a: Tensor, b: Tensor, name: str, **settings: Any) -> Tensor:
    """d^2(a, b) between two [N, N] matrices, scalar, by the distance called ``name``: see DISTANCES.

    For ``kl``, ``a`` is the target (teacher) and ``b`` the approximation (student).
    Raises ValueError for an unknown name, TypeError for a setting that the distance does not have.
    """
    if name not in DISTANCES:
        raise ValueError(f"There is no distance {name!r}; there are {', '.join(DISTANCES)}.")
    return DISTANCES[name](a, b, **settings)


def frobenius(a: Tensor, b: Tensor) -> Tensor:
    """||a - b||_F^2."""
    return (a - b).square().sum()


def power_euclidean(a: Tensor, b: Tensor, gamma: float = 0.5, ridge: float = 1e-3) -> Tensor:
    """||a^gamma - b^gamma||_F^2, with ridge * trace / N added to both diagonals first."""
    if not _finite(a, b):
        return (a - b).sum() * torch.nan
    powered = [_power(with_ridge(matrix.double(), ridge), gamma) for matrix in (a, b)]
    return frobenius(*powered).to(a.dtype)


def max_exp_distance(a: Tensor, b: Tensor, eta: int = 10, ridge: float = 1e-6) -> Tensor:
    """||psi(a) - psi(b)||_F^2 with psi = :func:`max_exp`."""
    return frobenius(max_exp(a, eta, ridge), max_exp(b, eta, ridge))


def max_exp(matrix: Tensor, eta: int, ridge: float = 1e-6) -> Tensor:
    """psi(M) = I - (I - M / (trace M + ridge))^eta, [N, N]: flattens the spectrum of M into [0, 1].

    By repeated squaring: at most 2 log2(eta) products and no eigendecomposition, whose gradient
    is not defined where eigenvalues repeat, as the zeros of a rank-deficient M do.
    """
    matrix = (matrix + matrix.T) / 2
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    base: Tensor = identity - matrix / (matrix.diagonal().sum() + ridge)
    powered: Tensor = identity - _integer_power(base, eta)
    return powered


def _integer_power(base: Tensor, exponent: int) -> Tensor:
    if exponent < 1:
        raise ValueError(f"eta must be a whole number of at least 1, not {exponent}.")
    result: Tensor | None = None
    while True:
        if exponent & 1:
            result = base if result is None else result @ base
        exponent >>= 1
        if result is not None and not exponent:
            return result
        base = base @ base


def normal_kl(
    a: Tensor,
    b: Tensor,
    ridge: float = 1e-3,
    means: tuple[Tensor, Tensor] | None = None,
    per_dimension: bool = False,
) -> Tensor:
    """KL(N(mean_a, a) || N(mean_b, b)) in nats, with ridge * trace / N added to both diagonals; ``per_dimension``: over N.

    ``means``: two [N] vectors; None stands for equal means.
    """
    if not _finite(a, b):
        return (a - b).sum() * torch.nan
    chol_a = torch.linalg.cholesky(with_ridge(a.double(), ridge))
    chol_b = torch.linalg.cholesky(with_ridge(b.double(), ridge))
    whitened = torch.linalg.solve_triangular(chol_b, chol_a, upper=False)
    log_determinants = chol_b.diagonal().log().sum() - chol_a.diagonal().log().sum()
    divergence: Tensor = 0.5 * (whitened.square().sum() - len(a)) + log_determinants
    if means is not None:
        shift = (means[1] - means[0]).double().unsqueeze(1)
        divergence = (
            divergence
            + 0.5 * torch.linalg.solve_triangular(chol_b, shift, upper=False).square().sum()
        )
    return (divergence / len(a) if per_dimension else divergence).to(a.dtype)


def _finite(a: Tensor, b: Tensor) -> bool:
    """Decompositions refuse what is not finite; the loss should rather show it, with the term's name."""
    return bool(a.isfinite().all() & b.isfinite().all())


def with_ridge(matrix: Tensor, ridge: float) -> Tensor:
    """M, symmetrised, with ridge * trace M / N on its diagonal, so that a singular matrix becomes positive definite."""
    matrix = (matrix + matrix.T) / 2
    size = len(matrix)
    amount = ridge * matrix.diagonal().sum() / size + RIDGE_OF_ZERO
    ridged: Tensor = matrix + amount * torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    return ridged


def _power(matrix: Tensor, gamma: float) -> Tensor:
    result: Tensor = _SymmetricPower.apply(matrix, gamma)
    return result


class _SymmetricPower(torch.autograd.Function):
    """M^gamma by eigendecomposition, with the Daleckii-Krein derivative, which is defined where eigenvalues repeat."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, gamma: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        values = values.clamp_min(torch.finfo(matrix.dtype).tiny)
        ctx.save_for_backward(values, vectors)
        ctx.gamma = gamma
        powered: Tensor = (vectors * values**gamma) @ vectors.T
        return powered

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, vectors = ctx.saved_tensors
        gamma = ctx.gamma
        powered = values**gamma
        gaps = values[:, None] - values[None, :]
        middle = (values[:, None] + values[None, :]) / 2
        # Where two eigenvalues (nearly) meet, the divided difference becomes the derivative between them.
        close = gaps.abs() <= 1e-4 * middle
        differences = (powered[:, None] - powered[None, :]) / torch.where(
            close, torch.ones_like(gaps), gaps
        )
        slopes = torch.where(close, gamma * middle ** (gamma - 1), differences)
        inner = vectors.T @ ((gradients[0] + gradients[0].T) / 2) @ vectors
        return vectors @ (slopes * inner) @ vectors.T, None


DISTANCES: dict[str, Callable[..., Tensor]] = {
    "frobenius": frobenius,
    "power_euclidean": power_euclidean,
    "max_exp": max_exp_distance,
    "kl": normal_kl,
}
