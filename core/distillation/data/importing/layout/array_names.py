"""What the arrays of an .npz hold, by their names: `image`, `train_images`, `x_test`, …"""

import re
from typing import Literal, NamedTuple

from core.distillation.data.importing.layout.folder_names import SPLIT_ROLES, folder_role

ArrayPart = Literal["train", "val", "test"]
ArrayContent = Literal["images", "labels"]

_IMAGES = frozenset({"image", "images", "img", "imgs", "x", "data"})
_X_AND_Y = ("x", "X", "y", "Y")
_LABELS = frozenset({"label", "labels", "y", "target", "targets"})
NEEDED = (
    "images and labels must be called image and label, images and labels or x and y; with a split, "
    "train_images, train_labels, test_images and test_labels, or x_train, y_train, x_test and "
    "y_test"
)


class ArrayRole(NamedTuple):
    part: ArrayPart
    content: ArrayContent


def array_role(name: str) -> ArrayRole | None:
    """Return what an array holds; None for a name that does not say it.

    Without a part in their names, arrays hold training images.
    """
    words = [word for part in re.split(r"[_\-. ]", name) for word in _separate_x_and_y(part)]
    parts = [word for word in words if folder_role(word) in ("train", "val", "test")]
    contents = [word.lower() for word in words if word not in parts]
    if len(parts) > 1 or len(contents) != 1:
        return None
    part: ArrayPart = "train"
    match folder_role(parts[0]) if parts else "train":
        case "val":
            part = "val"
        case "test":
            part = "test"
    if contents[0] in _IMAGES:
        return ArrayRole(part, "images")
    return ArrayRole(part, "labels") if contents[0] in _LABELS else None


def _separate_x_and_y(word: str) -> list[str]:
    """Return the two words that `xtrain` and `trainX` are written of, and others as they are."""
    first, last = word[:1], word[-1:]
    if first in _X_AND_Y and folder_role(word[1:]) in SPLIT_ROLES:
        return [first, word[1:]]
    if last in _X_AND_Y and folder_role(word[:-1]) in SPLIT_ROLES:
        return [word[:-1], last]
    return [word]
