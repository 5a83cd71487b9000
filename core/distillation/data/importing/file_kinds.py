"""What kind of file each of an upload is, judged by its name alone."""

from posixpath import splitext
from typing import Literal
from unicodedata import category

UploadFileKind = Literal["image", "cifar", "pickle", "junk", "other"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm"})
PICKLE_SUFFIXES = frozenset(
    {".pkl", ".pickle", ".dill", ".joblib", ".pt", ".pth", ".ckpt", ".npy", ".npz"}
)
"""Formats that contain, or may contain, pickled objects."""
JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""What desktops leave in folders, in addition to every hidden file."""
CIFAR_FILES = frozenset(
    {*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt"}
    | {"train.bin", "test.bin", "fine_label_names.txt"}
)


def file_kind(path: str) -> UploadFileKind:
    """Return the kind of a file. ``path``: from the data set's root, with "/" between folders."""
    *_, name = parts = path.split("/")
    if any(part.startswith(".") or part in JUNK for part in parts):
        return "junk"
    if name in CIFAR_FILES:
        return "cifar"
    suffix = splitext(name)[1].lower()  # pathlib would intern each of millions of names
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "pickle" if suffix in PICKLE_SUFFIXES else "other"


def is_unicode(path: str) -> bool:
    """Return whether a name was decoded: Python represents other bytes as lone surrogates."""
    return path.encode(errors="replace").decode() == path


def has_control_characters(name: str) -> bool:
    """Return whether a terminal would execute, not only show, a part of the name."""
    return any(category(character) == "Cc" for character in name)
