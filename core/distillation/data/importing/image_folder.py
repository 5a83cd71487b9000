"""A folder of images: a folder a class, with or without train and test folders above them."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from core.distillation.data import encoded, packed
from core.distillation.data.image_decoding import FORMATS
from core.distillation.data.images import Found, Images
from core.distillation.data.importing import class_selection
from core.distillation.data.importing.class_selection import MAX_CLASSES
from core.distillation.data.importing.file_kinds import (
    file_kind,
    has_controls,
    is_unicode,
    quoted,
)
from core.distillation.data.importing.file_source import Files, Progress
from core.distillation.data.importing.image_arrays import decode
from core.errors import Refused
from core.jobspec.data import DatasetDescription, Reading

TEST_FOLDERS = ("test", "val", "validation", "valid")
"""The first that is there is meant."""
TEST_EVERY = 5
MAX_WRAPPERS = 8

Classes = list[list[str]]
"""The images of each class, as paths, in alphabetical order like the classes."""


@dataclass(frozen=True)
class _Layout:
    class_names: list[str]
    train: Classes
    test: Classes
    sentence: str


def read(files: Files, wanted: Reading, target: Path, progress: Progress) -> Found:
    """Writes ``target``. The files of a class are in alphabetical order, and so are the classes, unless ``wanted`` lists them.

    Raises Refused naming the class or the file that cannot be used.
    """
    layout = _layout(files, _below_wrappers(files), wanted)
    train, test = _flat(layout.train), _flat(layout.test)
    if wanted.image_size is None:
        description = _decode(files, layout, target, progress)
    else:
        description = _keep_encoded(files, layout, wanted.image_size, target, progress)
    ignored = len(files) + files.left_out - len(train) - len(test)
    return Found(
        description,
        layout.sentence,
        _counts(layout.train),
        _counts(layout.test),
        ignored_files=ignored,
    )


def _decode(files: Files, layout: _Layout, target: Path, progress: Progress) -> DatasetDescription:
    train, test = _flat(layout.train), _flat(layout.test)
    images_NCHW = decode(files, train + test, progress)
    parts = (
        Images(images_NCHW[: len(train)], _labels(layout.train)),
        Images(images_NCHW[len(train) :], _labels(layout.test)),
    )
    packed.write(target, *parts)
    return packed.describe(*parts, tuple(layout.class_names))


def _keep_encoded(
    files: Files, layout: _Layout, side: int, target: Path, progress: Progress
) -> DatasetDescription:
    train, test = (encoded.Part(_flat(part), _labels(part)) for part in (layout.train, layout.test))
    channels = encoded.write(target, files, train, test, progress)
    return DatasetDescription(
        source="encoded",
        classes=len(layout.class_names),
        class_names=tuple(layout.class_names),
        channels=channels,
        height=side,
        width=side,
        train_images=len(train.paths),
        test_images=len(test.paths),
    )


def _counts(classes: Classes) -> torch.Tensor:
    return torch.tensor([len(paths) for paths in classes])


def _labels(classes: Classes) -> torch.Tensor:
    return torch.arange(len(classes)).repeat_interleave(_counts(classes))


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


def _layout(files: Files, top: str, wanted: Reading) -> _Layout:
    folders = {name.lower(): name for name in _folders(files, top)}
    test_folder = next((folders[name] for name in TEST_FOLDERS if name in folders), None)
    if "train" not in folders or test_folder is None:
        return _unsplit(files, top, wanted)
    train_folder = folders["train"]
    layout = _split(files, _inside(top, train_folder), _inside(top, test_folder), wanted)
    unused = sorted(set(folders.values()) - {train_folder, test_folder})
    note = f" Not used: {', '.join(map(quoted, unused))}." if unused else ""
    return replace(layout, sentence=layout.sentence + note)


def _split(files: Files, train: str, test: str, wanted: Reading) -> _Layout:
    class_names = _class_names(files, train)
    for stranger in sorted(set(_folders(files, test)) - set(class_names)):
        raise Refused(
            f"{quoted(_inside(test, stranger))} has no training images: {quoted(_inside(train, stranger))} is missing.",
            code="empty_class",
        )
    kept = class_selection.choose(class_names, wanted)
    sentence = (
        f"A folder a class, training images in {quoted(train)} and test images in {quoted(test)}."
    )
    sentence += class_selection.sentence(class_names, kept)
    return _Layout(kept, _images(files, train, kept), _images(files, test, kept), sentence)


def _unsplit(files: Files, top: str, wanted: Reading) -> _Layout:
    class_names = _class_names(files, top)
    kept = class_selection.choose(class_names, wanted)
    classes = _images(files, top, kept)
    test = [paths[TEST_EVERY - 1 :: TEST_EVERY] for paths in classes]
    train = [
        [path for at, path in enumerate(paths, start=1) if at % TEST_EVERY] for paths in classes
    ]
    if not any(test):
        raise Refused(
            f"There are no test images: without folders train and test, one image in {TEST_EVERY} of each class becomes one, "
            f"and no class has {TEST_EVERY}.",
            code="no_test_images",
        )
    sentence = f"A folder a class, not split: every {TEST_EVERY}th image of each class, by name, became a test image."
    return _Layout(kept, train, test, sentence + class_selection.sentence(class_names, kept))


def _class_names(files: Files, top: str) -> list[str]:
    names = _folders(files, top)
    if len(names) < 2:
        raise Refused(
            f"There are {len(names)} folders of images; at least two classes are needed, as train/CLASS/... and test/CLASS/..., "
            "or as CLASS/...",
            code="too_few_classes",
        )
    if len(names) > MAX_CLASSES:
        raise Refused(
            f"There are {len(names)} classes; at most {MAX_CLASSES} are possible.", code="too_large"
        )
    for name in names:
        if not is_unicode(name):
            raise Refused(
                f"The name of the class {quoted(name)} is not UTF-8.", code="unknown_format"
            )
        if has_controls(name):
            raise Refused(
                f"The name of the class {quoted(name)} holds control characters.",
                code="unknown_format",
            )
    return names


def _images(files: Files, top: str, class_names: list[str]) -> Classes:
    found: dict[str, list[str]] = {name: [] for name in class_names}
    start = len(_inside(top, ""))
    for path in files:
        name, below, _ = path[start:].partition("/")
        if (
            path.startswith(_inside(top, ""))
            and below
            and name in found
            and file_kind(path) == "image"
        ):
            found[name].append(path)
    for name, paths in found.items():
        if not paths:
            raise Refused(
                f"The class {quoted(_inside(top, name))} has no images ({', '.join(FORMATS)}).",
                code="empty_class",
            )
        paths.sort()
    return list(found.values())


def _folders(files: Files, top: str) -> list[str]:
    """Names of the folders right inside ``top``."""
    return sorted(
        path.rpartition("/")[2] for path in files.folders if path.rpartition("/")[0] == top
    )


def _inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
