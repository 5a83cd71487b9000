"""Boxes that are cut out for training and for testing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import RandomResizedCrop

from core.distillation.data.resized_crop import DRAWS_PER_BOX, middle_box, random_box
from core.jobspec.data import ResizedCrop

SIDES = st.integers(8, 2000)
DRAWS = st.lists(st.floats(0, 1, exclude_max=True), min_size=DRAWS_PER_BOX, max_size=DRAWS_PER_BOX)


def random_boxes(width: int, height: int, count: int, crop: ResizedCrop) -> torch.Tensor:
    """Left, top, right and bottom of each, [count, 4]."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(count, DRAWS_PER_BOX, generator=generator, dtype=torch.float64)
    boxes = [random_box(width, height, crop, draws_of_box) for draws_of_box in draws.tolist()]
    return torch.tensor(boxes, dtype=torch.float64)


def test_box_by_hand() -> None:
    draws = [0.5, 0.5] + [0.0] * (DRAWS_PER_BOX - 4) + [0.5, 0.25]
    # Half of the way from 0.08 to 1 of 100 x 200 pixels, half of the way between the ratios: a
    # square of 104 does not fit. The next attempt, 1600 pixels at 3 to 4, is 35 wide and 46 high.
    assert random_box(100, 200, ResizedCrop(), draws) == (33, 38, 33 + 35, 38 + 46)


@given(width=SIDES, height=SIDES, draws=DRAWS)
def test_random_box_is_in_the_image_and_not_empty(
    width: int, height: int, draws: list[float]
) -> None:
    left, top, right, bottom = random_box(width, height, ResizedCrop(), draws)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@given(width=SIDES, height=SIDES)
def test_middle_box_is_a_square_in_the_middle(width: int, height: int) -> None:
    left, top, right, bottom = middle_box(width, height)
    assert right - left == pytest.approx(min(width, height) * 0.875)
    assert bottom - top == pytest.approx(right - left)
    assert left + right == pytest.approx(width)
    assert top + bottom == pytest.approx(height)


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(1000, 10, (493, 0, 506, 10)), (8, 300, (0, 144, 8, 155))]
)
def test_middle_is_taken_where_no_random_box_fits(
    width: int, height: int, expected: tuple[int, ...]
) -> None:
    crop = ResizedCrop(scale=(0.9, 1.0))
    assert random_box(width, height, crop, [0.5] * DRAWS_PER_BOX) == expected


@pytest.mark.parametrize(("width", "height"), [(500, 375), (100, 300)])
def test_boxes_are_distributed_as_torchvisions(width: int, height: int) -> None:
    count = 4000
    image = torch.empty(3, height, width)
    torch.manual_seed(0)
    expected = [
        RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)
    ]
    top_N, left_N, height_N, width_N = torch.tensor(expected, dtype=torch.float64).T
    boxes_N4 = random_boxes(width, height, count, ResizedCrop())
    samples = {
        "top": (boxes_N4[:, 1], top_N),
        "left": (boxes_N4[:, 0], left_N),
        "height": (boxes_N4[:, 3] - boxes_N4[:, 1], height_N),
        "width": (boxes_N4[:, 2] - boxes_N4[:, 0], width_N),
    }
    for name, (sample_N, expected_N) in samples.items():
        # 0.03 is exceeded by chance once in twenty times.
        assert kolmogorov_distance(sample_N, expected_N) < 0.05, name


def kolmogorov_distance(first_N: torch.Tensor, second_N: torch.Tensor) -> float:
    """Kolmogorov and Smirnov's distance between two samples."""
    points = torch.cat([first_N, second_N]).sort().values
    ranks = [
        torch.searchsorted(sample.sort().values, points, right=True) / len(sample)
        for sample in (first_N, second_N)
    ]
    return float((ranks[0] - ranks[1]).abs().max())


def test_settings_bound_area_and_aspect_ratio() -> None:
    crop = ResizedCrop(scale=(0.25, 0.5), ratio=(1.0, 2.0))
    left, top, right, bottom = random_boxes(400, 400, 500, crop).T
    shares = (right - left) * (bottom - top) / 160_000
    ratios = (right - left) / (bottom - top)
    assert 0.245 < shares.min() < 0.26
    assert 0.49 < shares.max() < 0.505
    assert 0.99 < ratios.min() < 1.02
    assert 1.9 < ratios.max() < 2.02


def test_sides_of_a_box_are_rounded() -> None:
    """Of 1 / 3 of 100 x 100 pixels, a square has sides of 57.735; the box is in the corner."""
    crop = ResizedCrop(scale=(1 / 3, 1 / 3), ratio=(1.0, 1.0))
    draws = [0.5] * (DRAWS_PER_BOX - 2) + [0.0, 0.0]
    assert random_box(100, 100, crop, draws) == (0, 0, 58, 58)
    # Of 0.3: 54.77. The last position of 46 that there are in each direction.
    smaller = ResizedCrop(scale=(0.3, 0.3), ratio=(1.0, 1.0))
    last = [0.5] * (DRAWS_PER_BOX - 2) + [0.999, 0.999]
    assert random_box(100, 100, smaller, last) == (45, 45, 100, 100)
