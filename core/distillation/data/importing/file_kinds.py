"""What a file of somebody's data set is, by its name alone."""

from posixpath import splitext
from typing import Literal
from unicodedata import category

FileKind = Literal["image", "cifar", "pickle", "junk", "other"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm"})
PICKLE_SUFFIXES = frozenset(
    {".pkl", ".pickle", ".dill", ".joblib", ".pt", ".pth", ".ckpt", ".npy", ".npz"}
)
"""Formats that hold, or may hold, pickled objects."""
JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
CIFAR_FILES = frozenset(
    {*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt"}
    | {"train.bin", "test.bin", "fine_label_names.txt"}
)


def file_kind(path: str) -> FileKind:
    """``path``: below the root of the data set, with "/" between folders."""
    *_, name = parts = path.split("/")
    if any(part.startswith(".") or part in JUNK for part in parts):
        return "junk"
    if name in CIFAR_FILES:
        return "cifar"
    suffix = splitext(name)[1].lower()  # a path object would keep every name it saw
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "pickle" if suffix in PICKLE_SUFFIXES else "other"


def is_unicode(path: str) -> bool:
    """False for bytes that could not be decoded, which Python keeps as lone surrogates."""
    return path.encode(errors="replace").decode() == path


def has_controls(name: str) -> bool:
    """Whether a terminal that shows it would do something else as well."""
    return any(category(letter) == "Cc" for letter in name)


def quoted(path: str) -> str:
    """A file's name as it may stand in a message: no control characters, no broken encoding, not too long."""
    return (
        '"' + "".join(letter if letter.isprintable() else "\ufffd" for letter in path[:200]) + '"'
    )
