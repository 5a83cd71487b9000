"""Random crop and flip of a whole batch, on the batch's device. B batch, C H W image."""

import torch
from torch import Tensor
from torch.nn import functional

from core.jobspec.data import Augmentation


def augment(images_BCHW: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return images of the same shape, dtype and range, cropped and mirrored at random.

    Each is cropped after zero padding, and mirrored with probability 1/2. ``generator`` must be on
    the images' device; an augmentation that is off draws nothing from it.
    """
    if augmentation.crop_padding:
        images_BCHW = _crop(images_BCHW, augmentation.crop_padding, generator)
    if augmentation.flip:
        images_BCHW = _flip(images_BCHW, generator)
    return images_BCHW


def _crop(images_BCHW: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images_BCHW.shape
    device = images_BCHW.device
    corners_2B = torch.randint(0, 2 * padding + 1, (2, batch), generator=generator, device=device)
    padded = functional.pad(images_BCHW, (padding,) * 4)
    # A view of every possible crop, [B, C, tops, lefts, H, W]: indexing it copies one per image.
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)
    return crops[torch.arange(batch, device=device), :, corners_2B[0], corners_2B[1]]


def _flip(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    flips_B = torch.rand(len(images_BCHW), generator=generator, device=images_BCHW.device) < 0.5
    return torch.where(flips_B[:, None, None, None], images_BCHW.flip(3), images_BCHW)
