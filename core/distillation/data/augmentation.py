"""Random crop and flip of a whole batch at once, where the batch is. B batch, C H W image."""

import torch
from torch import Tensor
from torch.nn import functional

from core.jobspec.data import Augmentation


def augment(images_BCHW: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Images of the same shape, type and range: each cropped at random after zero padding, every other one mirrored.

    All chance comes from ``generator``, which must be on the images' device; what is switched off draws nothing.
    """
    if augmentation.crop_padding:
        images_BCHW = _crop(images_BCHW, augmentation.crop_padding, generator)
    if augmentation.flip:
        images_BCHW = _flip(images_BCHW, generator)
    return images_BCHW


def _crop(images_BCHW: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images_BCHW.shape
    device = images_BCHW.device
    top_B, left_B = torch.randint(
        0, 2 * padding + 1, (2, batch), generator=generator, device=device
    )
    padded = functional.pad(images_BCHW, (padding,) * 4)
    every_crop = padded.unfold(2, height, 1).unfold(
        3, width, 1
    )  # a view: [B, C, tops, lefts, H, W]
    return every_crop[torch.arange(batch, device=device), :, top_B, left_B]


def _flip(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    flips_B = torch.rand(len(images_BCHW), generator=generator, device=images_BCHW.device) < 0.5
    return torch.where(flips_B[:, None, None, None], images_BCHW.flip(3), images_BCHW)
