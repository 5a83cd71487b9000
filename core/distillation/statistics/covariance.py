"""The joint covariance of clean and adversarial features, STARSHIP Eq. 5.

B batch size, D features, M size of a matrix.
"""

import torch
from torch import Tensor


def covariance(clean_BD: Tensor, adversarial_BD: Tensor) -> Tensor:
    """Eq. 5: the covariance of the 2D channels [clean | adversarial], [2D, 2D].

    (1/B) Z'Z with each channel of Z centered: divided by B, not B - 1. Its blocks are nat-nat,
    nat-adv, adv-nat and adv-adv. Singular where B <= 2D.
    """
    features_B2D = torch.cat([clean_BD, adversarial_BD], dim=1)
    centered_B2D = features_B2D - features_B2D.mean(dim=0)
    return centered_B2D.T @ centered_B2D / len(centered_B2D)


def effective_rank(matrix_MM: Tensor) -> Tensor:
    """Return (trace M)^2 / ||M||_F^2 of a symmetric positive semi-definite matrix, scalar.

    The participation ratio: how many directions carry the spectrum, between 1 (one direction) and
    the matrix's size (all alike). It needs no eigendecomposition; a matrix of zeros has 0.
    """
    squared_norm = matrix_MM.square().sum().clamp_min(torch.finfo(matrix_MM.dtype).tiny)
    return matrix_MM.diagonal().sum().square() / squared_norm
