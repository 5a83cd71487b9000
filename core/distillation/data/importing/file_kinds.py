"""What kind of file each of an upload is, judged by its name and its first bytes."""

import re
from posixpath import splitext
from typing import Literal
from unicodedata import category, normalize

from core.distillation.data.importing.layout import ignored_files

UploadFileKind = Literal["image", "cifar", "pickle", "array", "junk", "other"]

IMAGE_SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp"}
    | {".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""A file of such a name that is no image is refused, not ignored."""
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".svg", ".ico", ".psd", ".tga"}
    | {".exr", ".hdr", ".pfm", ".pcx", ".sgi", ".rgb", ".dcm", ".nii", ".dds", ".eps", ".pdf"}
    | {".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"}
)
"""Image formats that are not read: among others camera raw files, most of which are TIFF inside."""
PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".dill", ".joblib", ".pt", ".pth", ".ckpt"})
"""Formats that contain, or may contain, pickled objects."""
ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
JUNK = frozenset(
    {"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
)
"""What desktops and network drives leave in folders, in addition to hidden files."""
DESKTOP_NAMES = JUNK | {".DS_Store", ".directory"}
CIFAR_FILES = frozenset(
    {*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt"}
    | {"train.bin", "test.bin", "fine_label_names.txt"}
)
SIGNATURE_BYTES = 64
_SIGNATURE = re.compile(
    rb"\x89PNG\r\n\x1a\n"
    rb"|\xff\xd8\xff"
    rb"|GIF8[79]a"
    rb"|RIFF....WEBP"
    rb"|BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"
    rb"|P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+\d+\s",
    re.DOTALL,
)
"""How the files of PNG, JPEG, GIF, WebP, BMP and of the PPM family begin."""
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")


def file_kind(path: str) -> UploadFileKind:
    """Return the kind of a file by its name.

    ``path``: from the data set's root, with "/" between folders.
    """
    name = path.rpartition("/")[2]
    if is_junk(path):
        return "junk"
    if name in CIFAR_FILES:
        return "cifar"
    suffix = _suffix(name)
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in ARRAY_SUFFIXES:
        return "array"
    return "pickle" if suffix in PICKLE_SUFFIXES else "other"


def is_junk(path: str) -> bool:
    """Return whether a file or folder is hidden or left behind by a desktop, or in such a one."""
    return any(part.startswith(".") or part in JUNK for part in path.split("/"))


def begins_as_image(path: str, first_bytes: bytes) -> bool:
    """Return whether a file of any name is an image of a format that is read."""
    if _SIGNATURE.match(first_bytes[:SIGNATURE_BYTES]):
        return True
    return first_bytes.startswith(_TIFF_SIGNATURES) and _suffix(path) not in UNREAD_SUFFIXES


def reason_to_ignore(path: str) -> str:
    """Return why a file that is no image of the data set is ignored."""
    parts = path.split("/")
    if is_junk(path):
        left_behind = any(part in DESKTOP_NAMES or part.startswith("._") for part in parts)
        return ignored_files.DESKTOP if left_behind else ignored_files.HIDDEN
    return ignored_files.UNREAD_FORMAT if is_unread_image(path) else ignored_files.NOT_AN_IMAGE


def is_unread_image(path: str) -> bool:
    """Return whether a file is, by its name, an image of a format that is not read."""
    return _suffix(path) in UNREAD_SUFFIXES and not is_junk(path)


def normalize_name(name: str) -> str:
    """Return the name in Unicode's NFC, in which names are compared.

    macOS writes "ö" as two characters (NFD), other systems write one.
    """
    return normalize("NFC", name)


def is_unicode(path: str) -> bool:
    """Return whether a name was decoded: Python represents other bytes as lone surrogates."""
    return path.encode(errors="replace").decode() == path


def has_control_characters(name: str) -> bool:
    """Return whether a terminal would execute, not only show, a part of the name."""
    return any(category(character) == "Cc" for character in name)


def _suffix(path: str) -> str:
    return splitext(path)[1].lower()  # pathlib would intern each of millions of names
