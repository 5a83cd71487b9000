"""Which images become thumbnails: how many of each class, and how they are spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.distillation.data.thumbnails import selection
from core.distillation.data.thumbnails.selection import select_thumbnails, spread
from core.jobspec.data import Thumbnail


def labels(*images_per_class: int) -> np.ndarray:
    return np.repeat(np.arange(len(images_per_class)), images_per_class)


def counts(thumbnails: list[Thumbnail], split: str, classes: int = 2) -> list[int]:
    """Return how many thumbnails of a part each class has."""
    labels = [label for label, part, _ in thumbnails if part == split]
    return [labels.count(label) for label in range(classes)]


def test_a_quarter_of_a_large_class_are_test_images() -> None:
    selected = select_thumbnails(labels(1000, 100), labels(500, 20), 2)
    assert counts(selected, "train") == [48, 48]
    assert counts(selected, "test") == [16, 16]


def test_one_part_fills_what_the_other_lacks() -> None:
    selected = select_thumbnails(labels(10, 100), labels(100, 3), 2)
    assert counts(selected, "train") == [10, 61]
    assert counts(selected, "test") == [54, 3]


def test_small_classes_have_all_of_their_images() -> None:
    selected = select_thumbnails(labels(3, 2), labels(0, 1), 2)
    train = [(0, "train", 0), (0, "train", 1), (0, "train", 2), (1, "train", 3), (1, "train", 4)]
    assert selected == [*train, (1, "test", 0)]


def test_extra_data_has_no_test_images() -> None:
    selected = select_thumbnails(labels(100, 100), labels(), 2)
    assert counts(selected, "train") == [64, 64]
    assert counts(selected, "test") == [0, 0]


@pytest.mark.parametrize(("classes", "images"), [(1000, 16), (16_384, 1), (20_000, 1)])
def test_many_classes_share_what_there_is(classes: int, images: int) -> None:
    all_labels = labels(*[20] * classes)
    selected = select_thumbnails(all_labels, all_labels, classes)
    assert len(selected) == min(classes * images, 16_384)
    assert counts(selected, "train", classes)[0] == images - images // 4


def test_images_are_at_equal_distances() -> None:
    chosen = spread(np.zeros(100, np.int64), np.array([100]), np.array([5]))
    assert np.diff(chosen).tolist() == [20, 20, 20, 20]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 9), st.integers(1, 12))
def test_blocks_change_nothing(values: list[int], quota: int, block: int) -> None:
    """And each class has exactly its quota, or all of its images."""
    labels_N = np.array(values)
    images_K = np.bincount(labels_N, minlength=5)
    quota_K = np.minimum(images_K, quota)
    chosen = spread(labels_N, images_K, quota_K)
    assert np.bincount(labels_N[chosen], minlength=5).tolist() == quota_K.tolist()
    assert sorted(chosen.tolist()) == chosen.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "BLOCK_LABELS", block)
        assert spread(labels_N, images_K, quota_K).tolist() == chosen.tolist()
