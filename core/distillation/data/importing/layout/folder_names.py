"""What the name of a folder says of its images: a part of the split, images, or annotations."""

import re
from functools import lru_cache
from typing import Literal

FolderRole = Literal["train", "test", "val", "images", "annotations"]

_WORDS: dict[FolderRole, frozenset[str]] = {
    "train": frozenset({"train", "training", "trn", "trainval"}),
    "test": frozenset({"test", "testing", "tst", "eval", "evaluation"}),
    "val": frozenset({"val", "valid", "validation", "validate", "dev"}),
    "images": frozenset({"image", "images", "img", "imgs", "jpegimages", "photos", "pictures"}),
    "annotations": frozenset(
        {"annotation", "annotations", "annot", "annots", "label", "labels", "mask", "masks"}
        | {"segmentation", "segmentations", "trimap", "trimaps", "bbox", "bboxes", "xml"}
    ),
}
SPLIT_ROLES: tuple[FolderRole, ...] = ("train", "test", "val")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ENDINGS = ("set", "data", "images", "imgs", "folder", "dir", "split")


@lru_cache(2**16)  # each of up to a million names is looked at several times
def folder_role(name: str) -> FolderRole | None:
    """Return what a name like `test`, `Training`, `seg_train`, `valSet` or `train2017` says.

    None where it says nothing, or names both training and test images.
    """
    words = {_stem(word.lower()) for word in _WORD.findall(name)}
    roles: list[FolderRole] = [role for role in _WORDS if words & _WORDS[role]]
    splits = [role for role in roles if role in SPLIT_ROLES]
    if len(splits) > 1:
        return "train" if splits == ["train", "val"] else None
    if splits:
        return splits[0]
    return roles[0] if len(roles) == 1 else None


def names_annotations(name: str) -> bool:
    """Return whether one of a name's words is that of annotations, as in `train_labels`."""
    return any(word.lower() in _WORDS["annotations"] for word in _WORD.findall(name))


def is_exact(name: str) -> bool:
    """Return whether a name is the word itself, as `test` is, and `test_2` is not."""
    return any(name.lower() in words for words in _WORDS.values())


def _stem(word: str) -> str:
    """Return a word without what says nothing: `trainset` and `xtrain` are `train`."""
    for stem in (word.removeprefix("x"), *(word.removesuffix(ending) for ending in _ENDINGS)):
        if stem != word and any(stem in _WORDS[role] for role in SPLIT_ROLES):
            return stem
    return word
