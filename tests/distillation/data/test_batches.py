"""What is in each batch of a training: which images, in which order, of which source."""

from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.data import Images
from core.distillation.data.augmentation import augment
from core.distillation.data.batches import Batches
from core.jobspec.data import Augmentation

CPU = torch.device("cpu")
UNCHANGED = Augmentation(crop_padding=0, flip=False)
OWN = 100
FIRST_EXTRA = 200


def numbered(first: int, count: int) -> Images:
    """Gray images whose every pixel is their number, with the number as label, too."""
    numbers = torch.arange(first, first + count)
    pixels = numbers.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    return Images(pixels, numbers)


def batches(own: int = OWN, extra: int | None = None, **changes: Any) -> Batches:
    settings: dict[str, Any] = {
        "batch_size": 10,
        "augmentation": UNCHANGED,
        "seed": 3,
        "device": CPU,
        **changes,
    }
    extra_images = None if extra is None else numbered(FIRST_EXTRA, extra)
    return Batches(numbered(0, own), extra_images, **settings)


def numbers_at(source: Batches, step: int) -> list[int]:
    """Return the numbers of a batch's images, after a check that each has its own label."""
    images_BCHW, labels_B = source.at(step)
    assert torch.equal((images_BCHW[:, 0, 0, 0] * 255).round().long(), labels_B)
    assert images_BCHW.shape == (len(labels_B), 1, 2, 2)
    numbers: list[int] = labels_B.tolist()
    return numbers


def order_of(epoch: int, images: int = OWN, seed: int = 3) -> list[int]:
    generator = seeds.generator("cpu", seed, "order", epoch)
    order: list[int] = torch.randperm(images, generator=generator).tolist()
    return order


def extra_of(step: int, count: int, extra: int, seed: int = 3) -> list[int]:
    generator = seeds.generator("cpu", seed, "extra", step)
    drawn = FIRST_EXTRA + torch.randint(extra, (count,), generator=generator)
    numbers: list[int] = drawn.tolist()
    return numbers


# -- without extra images


def test_epoch_shows_every_image_once_in_full_batches() -> None:
    source = batches(own=47)
    assert source.steps_per_epoch == 4
    for epoch in (0, 1, 2):
        steps = range(4 * epoch, 4 * epoch + 4)
        numbers = [number for step in steps for number in numbers_at(source, step)]
        assert numbers == order_of(epoch, 47)[:40]
        assert len(set(numbers)) == 40


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert order_of(0) != order_of(1)
    assert numbers_at(batches(seed=4), 0) == order_of(0, seed=4)[:10] != order_of(0)[:10]


def test_steps_may_be_asked_for_in_any_order() -> None:
    """A resumed training begins inside an epoch."""
    expected = [numbers_at(batches(), step) for step in range(12)]
    source = batches()
    for step in (11, 3, 3, 4, 0, 10):
        assert numbers_at(source, step) == expected[step]


def test_augmentation_is_a_function_of_seed_and_step() -> None:
    augmentation = Augmentation(crop_padding=1, flip=True)
    pixels = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    images = Images(pixels, torch.arange(40))
    source = Batches(images, batch_size=8, augmentation=augmentation, seed=5, device=CPU)
    for step in (0, 6):
        order = order_of(step // 5, images=40, seed=5)
        indices = torch.tensor(order[8 * (step % 5) :][:8])
        generator = seeds.generator("cpu", 5, "augmentation", step)
        expected = augment(images.batch(indices)[0], augmentation, generator)
        actual, labels = source.at(step)
        assert torch.equal(labels, indices)
        torch.testing.assert_close(actual, expected)


# -- with extra images


@pytest.mark.parametrize(
    ("ratio", "extra_count"), [(0.1, 1), (0.3, 3), (0.5, 5), (0.7, 7), (0.94, 9), (0.02, 0)]
)
def test_batch_has_exactly_its_share_of_extra_images(ratio: float, extra_count: int) -> None:
    """Own images come first; extra ones are drawn with replacement, anew in each step."""
    source = batches(extra=6, ratio=ratio)
    assert source.steps_per_epoch == 10
    own_count = 10 - extra_count
    for step in (0, 1, 9, 10, 25):
        epoch, position = divmod(step, 10)
        own = order_of(epoch)[position * own_count : (position + 1) * own_count]
        assert numbers_at(source, step) == own + extra_of(step, extra_count, extra=6)


def test_ratio_is_a_share_of_the_batch_rounded() -> None:
    for batch_size, ratio, extra_count in ((128, 0.7, 90), (64, 0.7, 45), (128, 0.2, 26)):
        source = batches(own=128, extra=3, batch_size=batch_size, ratio=ratio)
        numbers = numbers_at(source, 0)
        assert len(numbers) == batch_size
        assert sum(number >= FIRST_EXTRA for number in numbers) == extra_count


def test_every_extra_image_is_drawn_and_no_other() -> None:
    source = batches(extra=6, ratio=0.5)
    numbers = {number for step in range(40) for number in numbers_at(source, step)}
    assert {number for number in numbers if number >= FIRST_EXTRA} == set(range(200, 206))


def test_epochs_show_other_parts_of_the_own_images() -> None:
    """An epoch shows half of them at a ratio of one half."""
    source = batches(extra=6, ratio=0.5)
    shown = [
        {
            number
            for step in range(10 * epoch, 10 * epoch + 10)
            for number in numbers_at(source, step)
        }
        & set(range(OWN))
        for epoch in range(2)
    ]
    assert [len(numbers) for numbers in shown] == [50, 50]
    assert shown[0] != shown[1]


def test_without_extra_images_the_ratio_does_nothing() -> None:
    assert numbers_at(batches(ratio=0.7), 0) == numbers_at(batches(), 0)


def test_own_and_extra_images_share_one_draw_of_augmentation() -> None:
    """Own images draw first, then the extra ones go on with the same generator."""
    augmentation = Augmentation(crop_padding=0, flip=True)

    def ramps(value: int) -> Images:
        ramp = (torch.arange(8) + value).to(torch.uint8).expand(20, 1, 8, 8).contiguous()
        return Images(ramp, torch.full((20,), value))

    source = Batches(
        ramps(0),
        ramps(100),
        ratio=0.5,
        batch_size=12,
        augmentation=augmentation,
        seed=1,
        device=CPU,
    )
    generator = seeds.generator("cpu", 1, "augmentation", 0)
    flips = torch.rand(6, generator=generator).lt(0.5).tolist()
    flips += torch.rand(6, generator=generator).lt(0.5).tolist()
    images_BCHW, labels_B = source.at(0)
    assert labels_B.tolist() == [0] * 6 + [100] * 6

    def mirrored(image_CHW: Tensor) -> bool:
        return bool(image_CHW[0, 0, 0] > image_CHW[0, 0, 7])

    assert [mirrored(image) for image in images_BCHW] == flips
