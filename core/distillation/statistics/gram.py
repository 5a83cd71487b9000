"""The Gram matrix of predictions over clean and adversarial images, STARSHIP Eq. 8.

B batch size, K classes.
"""

import torch
from torch import Tensor


def gram(clean_probabilities_BK: Tensor, adversarial_probabilities_BK: Tensor) -> Tensor:
    """Eq. 8: inner products of all predictions, clean then adversarial, over K, [2B, 2B].

    The predictions are not centered.
    """
    probabilities_2BK = torch.cat([clean_probabilities_BK, adversarial_probabilities_BK], dim=0)
    return probabilities_2BK @ probabilities_2BK.T / probabilities_2BK.shape[1]
