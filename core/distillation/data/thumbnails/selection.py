"""Which images of a data set become thumbnails: some of each class, spread over its images.

N images, K classes, M selected images, B images of a block.
"""

from typing import Any

import numpy as np

from core.jobspec.data import Thumbnail

MAX_IMAGES = 16_384
"""Of a data set. Of more classes than this the first have one thumbnail each."""
MAX_PER_CLASS = 64
TEST_SHARE = 4
"""Every fourth thumbnail of a class is a test image, where there are enough of both."""
BLOCK_LABELS = 2**18
Integers = np.ndarray[Any, np.dtype[np.int64]]


def select_thumbnails(
    train_labels_N: Integers, test_labels_N: Integers, classes: int
) -> list[Thumbnail]:
    """Return the training images, and after them the test images, each in their order."""
    per_class = max(1, min(MAX_PER_CLASS, MAX_IMAGES // classes))
    train_K = _images_per_class(train_labels_N, classes)
    test_K = _images_per_class(test_labels_N, classes)
    test_quota_K = np.minimum(test_K, per_class // TEST_SHARE)
    train_quota_K = np.minimum(train_K, per_class - test_quota_K)
    test_quota_K = np.minimum(test_K, per_class - train_quota_K)
    train_quota_K[MAX_IMAGES:] = 0
    test_quota_K[MAX_IMAGES:] = 0
    train_M = spread(train_labels_N, train_K, train_quota_K)
    test_M = spread(test_labels_N, test_K, test_quota_K)
    return [
        *((int(train_labels_N[index]), "train", index) for index in train_M.tolist()),
        *((int(test_labels_N[index]), "test", index) for index in test_M.tolist()),
    ]


def spread(labels_N: Integers, images_K: Integers, quota_K: Integers) -> Integers:
    """Return indices [M] of ``quota_K`` images of each class, at equal distances within the class.

    ``images_K``: how many images each class has, at least its quota. The labels may be on disk:
    a block of them is in memory at a time.
    """
    indices = [np.zeros(0, np.int64)]
    first_rank_K = np.zeros_like(images_K)
    for start in range(0, len(labels_N), BLOCK_LABELS):
        labels_B = np.asarray(labels_N[start : start + BLOCK_LABELS])
        rank_B = first_rank_K[labels_B] + _rank_in_class(labels_B)
        # Of n images of a class, q are selected: those at which rank * q / n passes an integer.
        quota_B = quota_K[labels_B]
        before_B = rank_B * quota_B // images_K[labels_B]
        after_B = (rank_B + 1) * quota_B // images_K[labels_B]
        indices.append(start + (before_B != after_B).nonzero()[0])
        first_rank_K += np.bincount(labels_B, minlength=len(images_K))
    return np.concatenate(indices)


def _rank_in_class(labels_B: Integers) -> Integers:
    """Return how many images of the same class are before each image of the block, [B]."""
    order_B = labels_B.argsort(kind="stable")
    sorted_B = labels_B[order_B]
    first_B = np.searchsorted(sorted_B, sorted_B, side="left")
    rank_B = np.empty_like(labels_B)
    rank_B[order_B] = np.arange(len(labels_B)) - first_B
    return rank_B


def _images_per_class(labels_N: Integers, classes: int) -> Integers:
    images_K = np.zeros(classes, np.int64)
    for start in range(0, len(labels_N), BLOCK_LABELS):
        block = np.asarray(labels_N[start : start + BLOCK_LABELS])
        images_K += np.bincount(block, minlength=classes)
    return images_K
