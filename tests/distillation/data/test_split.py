from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.distillation.data import Images, split


def numbered(labels: list[int]) -> Images:
    """Image i is four bytes that say i."""
    numbers = torch.arange(len(labels), dtype=torch.int32).view(torch.uint8).view(-1, 1, 1, 4)
    return Images(numbers, torch.tensor(labels, dtype=torch.int64))


def numbers(images: Images) -> list[int]:
    return images.images_NCHW.view(torch.int32).flatten().tolist()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_sizes_are_exact_parts_disjoint_and_every_class_has_its_share_to_within_one(
    data: st.DataObject,
):
    labels = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=200))
    limit = data.draw(st.none() | st.integers(1, 300))
    used = min(limit or len(labels), len(labels))
    held_out_images = data.draw(st.integers(0, used))
    training, held_out = split(
        numbered(labels), held_out_images, limit, seed=data.draw(st.integers(0, 2**31 - 1))
    )

    assert (len(training), len(held_out)) == (used - held_out_images, held_out_images)
    assert len({*numbers(training), *numbers(held_out)}) == used
    for part in (training, held_out):
        assert part.labels_N.tolist() == [labels[number] for number in numbers(part)]
    all_used = Counter(training.labels_N.tolist()) + Counter(held_out.labels_N.tolist())
    for label, images in Counter(labels).items():
        assert abs(all_used[label] - images * used / len(labels)) < 1
        assert (
            abs(
                Counter(held_out.labels_N.tolist())[label]
                - all_used[label] * held_out_images / used
            )
            < 1
        )


def test_ten_equal_classes_are_held_out_equally():
    _, held_out = split(numbered([number % 10 for number in range(5000)]), 100, None, seed=0)
    assert Counter(held_out.labels_N.tolist()) == dict.fromkeys(range(10), 10)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    images = numbered([number % 3 for number in range(300)])
    first, again, other = (split(images, 30, 200, seed) for seed in (1, 1, 2))
    assert [numbers(part) for part in first] == [numbers(part) for part in again]
    assert numbers(first[1]) != numbers(other[1])


def test_the_global_generator_is_neither_used_nor_moved():
    images = numbered([number % 3 for number in range(30)])
    torch.manual_seed(1)
    first = numbers(split(images, 5, None, seed=0)[1])
    after = torch.rand(1)
    torch.manual_seed(2)
    assert numbers(split(images, 5, None, seed=0)[1]) == first
    torch.manual_seed(1)
    assert torch.rand(1) == after


def test_which_images_are_held_out_is_left_to_chance():
    images = numbered([0] * 100)
    seen = {number for seed in range(60) for number in numbers(split(images, 10, None, seed)[1])}
    assert len(seen) > 95


def test_more_held_out_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="11 images cannot be held out of 10"):
        split(numbered([0, 1] * 10), 11, 10, seed=0)
