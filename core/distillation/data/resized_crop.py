"""Boxes that are cut from an image before it is scaled: random ones for training, else the middle.

The random boxes are Inception's, with the numbers of torchvision.transforms.RandomResizedCrop, as
networks are usually trained on ImageNet.
"""

from collections.abc import Sequence
from math import exp, log, sqrt

from core.jobspec.data import ResizedCrop

ATTEMPTS = 10
DRAWS_PER_BOX = 2 * ATTEMPTS + 2
"""Random numbers for one box: area and aspect ratio for each attempt, then its position."""
TEST_SHARE = 224 / 256

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the image."""


def random_box(width: int, height: int, crop: ResizedCrop, draws: Sequence[float]) -> Box:
    """Return the first drawn box that fits in the image. ``draws`` are numbers in [0, 1)."""
    min_area, max_area = crop.scale
    min_log_ratio, max_log_ratio = map(log, crop.ratio)
    area_draws = draws[: 2 * ATTEMPTS : 2]
    ratio_draws = draws[1 : 2 * ATTEMPTS : 2]
    for area_draw, ratio_draw in zip(area_draws, ratio_draws, strict=True):
        area = width * height * (min_area + (max_area - min_area) * area_draw)
        ratio = exp(min_log_ratio + (max_log_ratio - min_log_ratio) * ratio_draw)
        box_width = round(sqrt(area * ratio))
        box_height = round(sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(draws[-2] * (width - box_width + 1))
            top = int(draws[-1] * (height - box_height + 1))
            return left, top, left + box_width, top + box_height
    return _largest_box(width, height, crop)


def _largest_box(width: int, height: int, crop: ResizedCrop) -> Box:
    """Return the largest allowed box in the middle: for images so long that no drawn box fits."""
    min_ratio, max_ratio = crop.ratio
    box_width = min(width, round(height * max_ratio))
    box_height = min(height, round(width / min_ratio))
    left = (width - box_width) // 2
    top = (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def middle_box(width: int, height: int) -> Box:
    """Return the middle square, with 224/256 of the shorter side.

    Scaled to a size, it is what the usual two steps give: scale the shorter side to 256/224 of the
    size, then cut out the middle.
    """
    side = min(width, height) * TEST_SHARE
    left = (width - side) / 2
    top = (height - side) / 2
    return left, top, left + side, top + side
