"""A folder of images: a folder a class, with or without train and test folders above them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import torch

from core.distillation.data import packed
from core.distillation.data.archive import Progress
from core.distillation.data.file_kinds import file_kind, quoted
from core.distillation.data.image_files import FORMATS, decode
from core.distillation.data.images import DataSet, Found, Images
from core.errors import Refused

TEST_FOLDERS = ("test", "val", "validation", "valid")
"""The first that is there is meant."""
TEST_EVERY = 5
MAX_WRAPPERS = 8
MAX_CLASSES = 100_000
MAX_FILES = 5_000_000


@dataclass(frozen=True)
class _Part:
    """Files, as paths below the root, class by class."""

    files: list[str]
    labels: list[int]


@dataclass(frozen=True)
class _Listing:
    class_names: tuple[str, ...]
    train: _Part
    test: _Part
    layout: str
    ignored_files: int


def read(root: Path, progress: Progress) -> Found:
    """Classes and their files in alphabetical order. Raises Refused naming the class or the file that cannot be used."""
    listing = _list(root, _below_wrappers(root))
    files = listing.train.files + listing.test.files
    images_NCHW = decode(root, files, progress)
    labels_N = torch.tensor(listing.train.labels + listing.test.labels, dtype=torch.int64)
    first_test = len(listing.train.files)
    train = Images(images_NCHW[:first_test], labels_N[:first_test])
    test = Images(images_NCHW[first_test:], labels_N[first_test:])
    dataset = DataSet(train, test, packed.describe(train, test, listing.class_names))
    return Found(dataset, listing.layout, listing.ignored_files)


def _below_wrappers(root: Path) -> Path:
    """The folder of the classes, or of train and test: archives often wrap everything in a folder of its own."""
    top = root
    for _ in range(MAX_WRAPPERS):
        folders = _folders(top)
        if len(folders) != 1 or not _folders(top / folders[0]):
            break
        top = top / folders[0]
    return top


def _list(root: Path, top: Path) -> _Listing:
    folders = {name.lower(): name for name in _folders(top)}
    test_folder = next((folders[name] for name in TEST_FOLDERS if name in folders), None)
    if "train" in folders and test_folder is not None:
        listing = _list_split(root, top / folders["train"], top / test_folder)
        unused = sorted(set(folders.values()) - {folders["train"], test_folder})
        if unused:
            listing = replace(listing, layout=f"{listing.layout} Not used: {', '.join(map(quoted, unused))}.")
        return listing
    return _list_unsplit(root, top)


def _list_split(root: Path, train: Path, test: Path) -> _Listing:
    class_names = _class_names(train)
    for name in _folders(test):
        if name not in class_names:
            raise Refused(
                f"{quoted(_below(root, test / name))} is a class without a folder in {quoted(_below(root, train))}.",
                code="empty_class",
            )
    train_files, ignored_in_train = _class_files(root, train, class_names)
    test_files, ignored_in_test = _class_files(root, test, class_names)
    return _Listing(
        class_names,
        _part(train_files),
        _part(test_files),
        f"A folder a class in {quoted(_below(root, train))} and in {quoted(_below(root, test))}, which holds the test images.",
        ignored_in_train + ignored_in_test,
    )


def _list_unsplit(root: Path, top: Path) -> _Listing:
    class_names = _class_names(top)
    files, ignored = _class_files(root, top, class_names)
    test = [of_class[TEST_EVERY - 1 :: TEST_EVERY] for of_class in files]
    train = [[file for at, file in enumerate(of_class, start=1) if at % TEST_EVERY] for of_class in files]
    if not any(test):
        raise Refused(
            f"There are no test images: no class has {TEST_EVERY} images, of which one would be kept for the test, and there are "
            "no folders train and test.",
            code="no_test_images",
        )
    layout = f"A folder a class, not split: every {TEST_EVERY}th image of each class, by name, became a test image."
    return _Listing(class_names, _part(train), _part(test), layout, ignored)


def _class_names(top: Path) -> tuple[str, ...]:
    names = tuple(_folders(top))
    if len(names) < 2:
        raise Refused(
            f"There are {len(names)} folders of images; at least two classes are needed, in train/CLASS/... and test/CLASS/..., "
            "or in CLASS/...",
            code="too_few_classes",
        )
    if len(names) > MAX_CLASSES:
        raise Refused(f"There are {len(names)} classes; at most {MAX_CLASSES} are possible.", code="too_large")
    for name in names:
        if name != name.encode(errors="replace").decode():
            raise Refused(f"The name of the class {quoted(name)} is not UTF-8.", code="unknown_format")
    return names


def _class_files(root: Path, top: Path, class_names: Sequence[str]) -> tuple[list[list[str]], int]:
    """The images of every class, and how many other files there are."""
    found: list[list[str]] = []
    ignored = sum(entry.is_file() and file_kind(PurePath(entry.name)) != "junk" for entry in top.iterdir())
    count = 0
    for name in class_names:
        images, others = _images(root, top / name)
        if not images:
            raise Refused(
                f"The class {quoted(_below(root, top / name))} has no images ({', '.join(FORMATS)}).", code="empty_class"
            )
        found.append(images)
        ignored += others
        count += len(images)
        if count > MAX_FILES:
            raise Refused(f"There are more than {MAX_FILES} images.", code="too_large")
    return found, ignored


def _images(root: Path, folder: Path) -> tuple[list[str], int]:
    images = []
    others = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if file_kind(PurePath(name)) != "junk"]
        for name in files:
            kind = file_kind(PurePath(name))
            if kind == "image":
                images.append(_below(root, Path(parent, name)))
            others += kind not in ("image", "junk")
    return sorted(images), others


def _part(files: list[list[str]]) -> _Part:
    labels = [label for label, of_class in enumerate(files) for _ in of_class]
    return _Part([file for of_class in files for file in of_class], labels)


def _folders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and file_kind(PurePath(entry.name)) != "junk")


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root))
