"""The Gram matrix of predictions over clean and adversarial images, STARSHIP Eq. 8. B batch, K classes."""

import torch
from torch import Tensor


def gram(clean_probabilities_BK: Tensor, adversarial_probabilities_BK: Tensor) -> Tensor:
    """Inner products between all predictions, clean then adversarial, divided by K, [2B, 2B]. Not centred."""
    probabilities_2BK = torch.cat([clean_probabilities_BK, adversarial_probabilities_BK], dim=0)
    return probabilities_2BK @ probabilities_2BK.T / probabilities_2BK.shape[1]
