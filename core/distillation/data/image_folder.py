"""A folder of images: a folder a class, with or without train and test folders above them."""

from dataclasses import dataclass

import torch

from core.distillation.data import packed
from core.distillation.data.file_kinds import file_kind, is_unicode, quoted
from core.distillation.data.files import Files, Progress
from core.distillation.data.image_files import FORMATS, decode
from core.distillation.data.images import Found, Images
from core.errors import Refused

TEST_FOLDERS = ("test", "val", "validation", "valid")
"""The first that is there is meant."""
TEST_EVERY = 5
MAX_WRAPPERS = 8
MAX_CLASSES = 100_000

Classes = list[list[str]]
"""The images of each class, as paths, in alphabetical order like the classes."""


@dataclass(frozen=True)
class _Layout:
    class_names: list[str]
    train: Classes
    test: Classes
    sentence: str


def read(files: Files, progress: Progress) -> Found:
    """Classes and their files in alphabetical order. Raises Refused naming the class or the file that cannot be used."""
    layout = _layout(files, _below_wrappers(files))
    train, test = _flat(layout.train), _flat(layout.test)
    images_NCHW = decode(files, train + test, progress)
    ignored = len(files) + files.left_out - len(train) - len(test)
    parts = Images(images_NCHW[: len(train)], _labels(layout.train)), Images(images_NCHW[len(train) :], _labels(layout.test))
    return Found(*parts, packed.describe(*parts, tuple(layout.class_names)), layout.sentence, ignored_files=ignored)


def _labels(classes: Classes) -> torch.Tensor:
    return torch.arange(len(classes)).repeat_interleave(torch.tensor([len(paths) for paths in classes]))


def _flat(classes: Classes) -> list[str]:
    return [path for paths in classes for path in paths]


def _below_wrappers(files: Files) -> str:
    """The folder of the classes, or of train and test: archives often wrap everything in a folder of its own."""
    top = ""
    for _ in range(MAX_WRAPPERS):
        folders = _folders(files, top)
        if len(folders) != 1 or not _folders(files, _inside(top, folders[0])):
            break
        top = _inside(top, folders[0])
    return top


def _layout(files: Files, top: str) -> _Layout:
    folders = {name.lower(): name for name in _folders(files, top)}
    test_folder = next((folders[name] for name in TEST_FOLDERS if name in folders), None)
    if "train" not in folders or test_folder is None:
        return _unsplit(files, top)
    train_folder = folders["train"]
    layout = _split(files, _inside(top, train_folder), _inside(top, test_folder))
    unused = sorted(set(folders.values()) - {train_folder, test_folder})
    note = f" Not used: {', '.join(map(quoted, unused))}." if unused else ""
    return _Layout(layout.class_names, layout.train, layout.test, layout.sentence + note)


def _split(files: Files, train: str, test: str) -> _Layout:
    class_names = _class_names(files, train)
    for stranger in sorted(set(_folders(files, test)) - set(class_names)):
        raise Refused(
            f"{quoted(_inside(test, stranger))} has no training images: {quoted(_inside(train, stranger))} is missing.",
            code="empty_class",
        )
    sentence = f"A folder a class, training images in {quoted(train)} and test images in {quoted(test)}."
    return _Layout(class_names, _images(files, train, class_names), _images(files, test, class_names), sentence)


def _unsplit(files: Files, top: str) -> _Layout:
    class_names = _class_names(files, top)
    classes = _images(files, top, class_names)
    test = [paths[TEST_EVERY - 1 :: TEST_EVERY] for paths in classes]
    train = [[path for at, path in enumerate(paths, start=1) if at % TEST_EVERY] for paths in classes]
    if not any(test):
        raise Refused(
            f"There are no test images: without folders train and test, one image in {TEST_EVERY} of each class becomes one, "
            f"and no class has {TEST_EVERY}.",
            code="no_test_images",
        )
    sentence = f"A folder a class, not split: every {TEST_EVERY}th image of each class, by name, became a test image."
    return _Layout(class_names, train, test, sentence)


def _class_names(files: Files, top: str) -> list[str]:
    names = _folders(files, top)
    if len(names) < 2:
        raise Refused(
            f"There are {len(names)} folders of images; at least two classes are needed, as train/CLASS/... and test/CLASS/..., "
            "or as CLASS/...",
            code="too_few_classes",
        )
    if len(names) > MAX_CLASSES:
        raise Refused(f"There are {len(names)} classes; at most {MAX_CLASSES} are possible.", code="too_large")
    for name in names:
        if not is_unicode(name):
            raise Refused(f"The name of the class {quoted(name)} is not UTF-8.", code="unknown_format")
    return names


def _images(files: Files, top: str, class_names: list[str]) -> Classes:
    found: dict[str, list[str]] = {name: [] for name in class_names}
    start = len(_inside(top, ""))
    for path in files:
        name, below, _ = path[start:].partition("/")
        if path.startswith(_inside(top, "")) and below and file_kind(path) == "image":
            found[name].append(path)
    for name, paths in found.items():
        if not paths:
            raise Refused(f"The class {quoted(_inside(top, name))} has no images ({', '.join(FORMATS)}).", code="empty_class")
        paths.sort()
    return list(found.values())


def _folders(files: Files, top: str) -> list[str]:
    """Names of the folders right inside ``top``."""
    return sorted(path.rpartition("/")[2] for path in files.folders if path.rpartition("/")[0] == top)


def _inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
