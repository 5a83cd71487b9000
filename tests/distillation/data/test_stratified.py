from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.distillation.data import Images, ImageSource, split
from tests.distillation.data.builders import in_memory, labels_of


def numbered_images(labels: list[int]) -> Images:
    """Image i consists of four bytes, which are the number i."""
    numbers = torch.arange(len(labels), dtype=torch.int32).view(torch.uint8).view(-1, 1, 1, 4)
    return Images(numbers, torch.tensor(labels, dtype=torch.int64))


def numbers_of(images: ImageSource) -> list[int]:
    numbers: list[int] = in_memory(images).images_NCHW.view(torch.int32).flatten().tolist()
    return numbers


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_split_is_exact_disjoint_and_stratified(data: st.DataObject) -> None:
    """Sizes are exact, the parts share no image, and classes have their share to within one."""
    labels = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=200))
    limit = data.draw(st.none() | st.integers(1, 300))
    used = min(limit or len(labels), len(labels))
    held_out_images = data.draw(st.integers(0, used))
    seed = data.draw(st.integers(0, 2**31 - 1))
    training, held_out = split(numbered_images(labels), held_out_images, limit, seed=seed)

    assert (len(training), len(held_out)) == (used - held_out_images, held_out_images)
    assert len({*numbers_of(training), *numbers_of(held_out)}) == used
    for part in (training, held_out):
        assert labels_of(part) == [labels[number] for number in numbers_of(part)]
    held_out_counts = Counter(labels_of(held_out))
    used_counts = Counter(labels_of(training)) + held_out_counts
    for label, images in Counter(labels).items():
        assert abs(used_counts[label] - images * used / len(labels)) < 1
        expected = used_counts[label] * held_out_images / used
        assert abs(held_out_counts[label] - expected) < 1


def test_ten_equal_classes_are_held_out_equally() -> None:
    images = numbered_images([number % 10 for number in range(5000)])
    _, held_out = split(images, 100, None, seed=0)
    assert Counter(labels_of(held_out)) == dict.fromkeys(range(10), 10)


def test_split_is_a_function_of_the_seed() -> None:
    images = numbered_images([number % 3 for number in range(300)])
    first, again, other = (split(images, 30, 200, seed) for seed in (1, 1, 2))
    assert [numbers_of(part) for part in first] == [numbers_of(part) for part in again]
    assert numbers_of(first[1]) != numbers_of(other[1])


def test_global_generator_is_neither_used_nor_moved() -> None:
    images = numbered_images([number % 3 for number in range(30)])
    torch.manual_seed(1)
    first = numbers_of(split(images, 5, None, seed=0)[1])
    after = torch.rand(1)
    torch.manual_seed(2)
    assert numbers_of(split(images, 5, None, seed=0)[1]) == first
    torch.manual_seed(1)
    assert torch.rand(1) == after


def test_held_out_images_are_random() -> None:
    images = numbered_images([0] * 100)
    held_out = {
        number for seed in range(60) for number in numbers_of(split(images, 10, None, seed)[1])
    }
    assert len(held_out) > 95


def test_more_held_out_images_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="11 images cannot be held out of 10"):
        split(numbered_images([0, 1] * 10), 11, 10, seed=0)
