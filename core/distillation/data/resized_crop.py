"""Boxes cut from an image before it is scaled: at random for training, in the middle for testing. As ImageNet is trained on.

Inception's random crop, with torchvision's numbers (torchvision.transforms.RandomResizedCrop).
"""

from collections.abc import Sequence
from math import exp, log, sqrt

from core.jobspec.data import ResizedCrop

TRIES = 10
DRAWS = 2 * TRIES + 2
"""Numbers that chance gives for one box: area and shape for each try, then its place."""
TEST_SHARE = 224 / 256

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the image."""


def random_box(width: int, height: int, crop: ResizedCrop, draws: Sequence[float]) -> Box:
    """The first box drawn that fits in the image; ``draws`` are numbers from [0, 1)."""
    least, largest = crop.scale
    narrowest, widest = map(log, crop.ratio)
    for area_draw, ratio_draw in zip(draws[: 2 * TRIES : 2], draws[1 : 2 * TRIES : 2], strict=True):
        area = width * height * (least + (largest - least) * area_draw)
        ratio = exp(narrowest + (widest - narrowest) * ratio_draw)
        wide, high = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = (
                int(draw * (room + 1))
                for draw, room in zip(draws[-2:], (width - wide, height - high), strict=True)
            )
            return left, top, left + wide, top + high
    return _largest_box(width, height, crop)


def _largest_box(width: int, height: int, crop: ResizedCrop) -> Box:
    """In the middle, of a shape that is allowed: for images so long that no box drawn fits."""
    narrowest, widest = crop.ratio
    wide, high = min(width, round(height * widest)), min(height, round(width / narrowest))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def middle_box(width: int, height: int) -> Box:
    """The middle square of 224/256 of the shorter side: what is left when that side is scaled to 256/224 of the size wanted, and
    the middle is cut out."""
    side = min(width, height) * TEST_SHARE
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
