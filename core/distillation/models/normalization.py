"""Normalization as part of a network, so that everything outside it sees images in [0, 1]."""

import torch
from torch import Tensor, nn

from core.jobspec.network import Normalization as NormalizationName

MEAN_AND_STD: dict[NormalizationName, tuple[tuple[float, ...], tuple[float, ...]] | None] = {
    "none": None,
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Per channel (red, green, blue): for CIFAR the constants that DeepMind's robust networks carry, used for every family;
"imagenet" as torchvision's and DeiT's checkpoints want it; "inception", to [-1, 1], as timm's ViTs (AugReg) do."""


class InputNormalization(nn.Module):
    """(images - mean) / std per channel, [B, C, H, W]; nothing for "none". Nothing of it is in the state dict."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: NormalizationName, channels: int) -> None:
        """Raises ValueError for an unknown name, and for images with other channels than the constants have."""
        super().__init__()
        if name not in MEAN_AND_STD:
            raise ValueError(
                f"There is no normalization {name!r}; known are {', '.join(MEAN_AND_STD)}."
            )
        self.name = name
        constants = MEAN_AND_STD[name]
        if constants is None:
            return
        if len(constants[0]) != channels:
            raise ValueError(
                f"Normalization {name!r} is for images of {len(constants[0])} channels, not {channels}."
            )
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in constants)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return (images_BCHW - self.mean) / self.std if self.name != "none" else images_BCHW
