import pytest
import torch
from torch import Tensor

from core.distillation.data import augment
from core.jobspec.data import Augmentation


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def images(
    batch: int = 6,
    channels: int = 3,
    height: int = 9,
    width: int = 8,
    dtype: torch.dtype = torch.uint8,
) -> Tensor:
    pixels = torch.randint(1, 256, (batch, channels, height, width), generator=seeded())
    return pixels.to(torch.uint8) if dtype == torch.uint8 else pixels.float() / 255


def slow_augment(
    images_BCHW: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """Augment pixel by pixel, with draws in the same order: tops and lefts, then flips."""
    batch, channels, height, width = images_BCHW.shape
    padding = augmentation.crop_padding
    device = generator.device
    corners = torch.zeros(2, batch)
    if padding:
        shape = (2, batch)
        corners = torch.randint(0, 2 * padding + 1, shape, generator=generator, device=device)
    tops, lefts = corners.int().tolist()
    flips = [False] * batch
    if augmentation.flip:
        flips = (torch.rand(batch, generator=generator, device=device) < 0.5).tolist()
    result = torch.zeros_like(images_BCHW)
    for b in range(batch):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    from_y = y + tops[b] - padding
                    from_x = (width - 1 - x if flips[b] else x) + lefts[b] - padding
                    if 0 <= from_y < height and 0 <= from_x < width:
                        result[b, c, y, x] = images_BCHW[b, c, from_y, from_x]
    return result


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop_padding", [0, 1, 4, 12])
def test_augmentation_equals_the_slow_reference(
    crop_padding: int, flip: bool, dtype: torch.dtype
) -> None:
    augmentation = Augmentation(crop_padding=crop_padding, flip=flip)
    result = augment(images(dtype=dtype), augmentation, seeded(5))
    assert result.dtype == dtype
    assert torch.equal(result, slow_augment(images(dtype=dtype), augmentation, seeded(5)))


def test_all_randomness_comes_from_the_generator() -> None:
    augmentation = Augmentation(crop_padding=4, flip=True)
    torch.manual_seed(1)
    first = augment(images(), augmentation, seeded(3))
    torch.manual_seed(2)
    assert torch.equal(augment(images(), augmentation, seeded(3)), first)
    assert not torch.equal(augment(images(), augmentation, seeded(4)), first)


def test_without_padding_and_flip_nothing_is_changed_or_drawn() -> None:
    generator = seeded(3)
    before = generator.get_state()
    nothing = Augmentation(crop_padding=0, flip=False)
    assert torch.equal(augment(images(), nothing, generator), images())
    assert torch.equal(generator.get_state(), before)


def test_augmentation_does_not_change_its_input() -> None:
    originals = images()
    augment(originals, Augmentation(crop_padding=4, flip=True), seeded())
    assert torch.equal(originals, images())


def test_about_half_of_the_images_are_mirrored() -> None:
    originals = images(batch=2000, channels=1)
    flipped = augment(originals, Augmentation(crop_padding=0, flip=True), seeded())
    same = (flipped == originals).flatten(1).all(1)
    assert torch.equal(flipped[~same], originals[~same].flip(3))
    assert 0.45 < same.float().mean() < 0.55


def test_every_crop_occurs() -> None:
    originals = images(batch=1, channels=1, height=8).expand(500, -1, -1, -1)
    crops = augment(originals, Augmentation(crop_padding=1, flip=False), seeded())
    assert len(torch.unique(crops.flatten(1), dim=0)) == 9


@pytest.mark.gpu
def test_augmentation_on_the_gpu_equals_the_slow_reference() -> None:
    """With the draws of the GPU's generator."""
    augmentation = Augmentation(crop_padding=4, flip=True)
    result = augment(images().cuda(), augmentation, seeded(5, "cuda"))
    assert result.device.type == "cuda"
    assert torch.equal(result.cpu(), slow_augment(images(), augmentation, seeded(5, "cuda")))
