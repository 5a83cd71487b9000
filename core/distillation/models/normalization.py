"""Normalization as part of a network, so that all code outside the network has images in [0, 1].

B batch size, C H W channels, height and width of an image.
"""

import torch
from torch import Tensor, nn

from core.jobspec.network import Normalization

MEAN_AND_STD: dict[Normalization, tuple[tuple[float, ...], tuple[float, ...]] | None] = {
    "none": None,
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "cifar10_robustness": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and standard deviation per channel (red, green, blue), on pixels in [0, 1].

CIFAR's are the constants of DeepMind's robust networks, used for every family;
"cifar10_robustness" has the deviations of the robustness library and of
github.com/kuangliu/pytorch-cifar, means over the deviations of single images; "imagenet" is what
the checkpoints of torchvision and of DeiT expect; "inception", which maps to [-1, 1], is what
timm's ViTs (AugReg) expect."""


class InputNormalization(nn.Module):
    """(images - mean) / std per channel, [B, C, H, W]; the identity for "none".

    The constants are not in the state dict.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: Normalization, channels: int) -> None:
        """Raise ValueError for an unknown name or another number of channels than it is for."""
        super().__init__()
        if name not in MEAN_AND_STD:
            raise ValueError(
                f"There is no normalization {name!r}; known are {', '.join(MEAN_AND_STD)}."
            )
        self.name = name
        self.channels = channels
        constants = MEAN_AND_STD[name]
        if constants is None:
            return
        if len(constants[0]) != channels:
            raise ValueError(
                f"Normalization {name!r} is for images of {len(constants[0])} channels, "
                f"not {channels}."
            )
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in constants)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        if self.name == "none":
            return images_BCHW
        return (images_BCHW - self.mean) / self.std
