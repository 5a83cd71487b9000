"""Features and probabilities of images, and which images have only finite ones.

B batch, D features, K classes, X either.
"""

import torch
from torch import Tensor

from core.distillation.forward import forward
from core.distillation.models.network import Classifier


def features_and_probabilities(network: Classifier, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return penultimate features [B, D] and probabilities [B, K]."""
    with torch.no_grad():
        output = forward(network, images_BCHW)
    return output.features_BD, output.probabilities_BK


def finite_in_all(*outputs_BX: Tensor) -> Tensor:
    """Return which images are finite in every output, [B] bool."""
    return torch.stack([output_BX.isfinite().all(dim=1) for output_BX in outputs_BX]).all(dim=0)


def omission_warnings(images: int) -> list[str]:
    """Return the report's warning about images that were left out; nothing for none."""
    if not images:
        return []
    return [f"{images} images were left out: their features or probabilities are not finite."]
