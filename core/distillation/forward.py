"""One pass of images through a network: its features and its logits.

B batch, C channels, H height, W width, D features, K classes.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.distillation.models.network import Classifier

Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True)
class NetworkOutput:
    """Penultimate features and logits, fp32."""

    features_BD: Tensor
    logits_BK: Tensor

    @property
    def probabilities_BK(self) -> Tensor:
        return self.logits_BK.softmax(dim=1)


def forward(
    network: Classifier, images_BCHW: Tensor, precision: Precision = "fp32"
) -> NetworkOutput:
    """Return the network's output for images in [0, 1].

    This is the only place with autocast: with ``precision`` bf16 the network runs in bf16, but
    whatever is computed from its output is fp32.
    """
    with torch.autocast(images_BCHW.device.type, torch.bfloat16, enabled=precision == "bf16"):
        features_BD = network.features(images_BCHW)
        logits_BK = network.classify(features_BD)
    return NetworkOutput(features_BD.float(), logits_BK.float())
