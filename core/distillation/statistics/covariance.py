"""The joint covariance of clean and adversarial features, STARSHIP Eq. 5. B batch, D features."""

import torch
from torch import Tensor


def covariance(clean_BD: Tensor, adversarial_BD: Tensor) -> Tensor:
    """Covariance of the 2D channels [clean | adversarial], [2D, 2D]: (1/B) Z'Z with each channel of Z centred.

    Its blocks are nat-nat, nat-adv, adv-nat and adv-adv. Divided by B, not B - 1. Singular where B <= 2D.
    """
    features_B2D = torch.cat([clean_BD, adversarial_BD], dim=1)
    centred_B2D = features_B2D - features_B2D.mean(dim=0)
    return centred_B2D.T @ centred_B2D / len(centred_B2D)


def effective_rank(matrix: Tensor) -> Tensor:
    """(trace M)^2 / ||M||_F^2 of a symmetric positive semi-definite matrix, scalar: how many directions carry its spectrum.

    The participation ratio: between 1 (one direction) and the matrix's size (all alike); needs no eigendecomposition.
    """
    return matrix.diagonal().sum().square() / matrix.square().sum().clamp_min(
        torch.finfo(matrix.dtype).tiny
    )
