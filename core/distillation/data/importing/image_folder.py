"""Imports a folder of images: one folder for each class, with or without train and test folders.

K classes.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from core.distillation.data.image_decoding import FORMATS
from core.distillation.data.images import Images
from core.distillation.data.importing.class_selection import (
    MAX_CLASSES,
    select_classes,
    selection_sentence,
)
from core.distillation.data.importing.encoded_writer import EncodedPart, write_encoded
from core.distillation.data.importing.file_kinds import (
    file_kind,
    has_control_characters,
    is_unicode,
)
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.image_arrays import decode_images
from core.distillation.data.importing.import_result import ImportResult
from core.distillation.data.importing.packed_writer import describe, write_packed
from core.distillation.data.quoting import quote
from core.errors import Refused
from core.jobspec.data import DatasetDescription, ImportOptions

TEST_FOLDERS = ("test", "val", "validation", "valid")
"""The first that exists has the test images."""
TEST_EVERY = 5
MAX_WRAPPERS = 8

PathsByClass = list[list[str]]
"""Paths of each class's images, in alphabetical order; classes are in the order of their labels."""


@dataclass(frozen=True)
class _Layout:
    class_names: list[str]
    train: PathsByClass
    test: PathsByClass
    sentence: str
    """For the report: how the folders were understood."""


def import_image_folder(
    files: FileSource, options: ImportOptions, target: Path, progress: ProgressCallback
) -> ImportResult:
    """Write ``target``: decoded images, or with ``image_size`` encoded ones.

    Classes are in alphabetical order, unless the options list them, and so are the files of a
    class. Raises Refused naming the class or the file that cannot be used.
    """
    layout = _find_layout(files, _skip_wrappers(files), options)
    if options.image_size is None:
        description = _write_decoded(files, layout, target, progress)
    else:
        description = _write_encoded(files, layout, options.image_size, target, progress)
    imported_files = len(_flat(layout.train)) + len(_flat(layout.test))
    return ImportResult(
        description,
        layout.sentence,
        _counts(layout.train),
        _counts(layout.test),
        ignored_files=len(files) + files.left_out - imported_files,
    )


def _write_decoded(
    files: FileSource, layout: _Layout, target: Path, progress: ProgressCallback
) -> DatasetDescription:
    train_paths = _flat(layout.train)
    images_NCHW = decode_images(files, train_paths + _flat(layout.test), progress)
    train = Images(images_NCHW[: len(train_paths)], _labels(layout.train))
    test = Images(images_NCHW[len(train_paths) :], _labels(layout.test))
    write_packed(target, train, test)
    return describe(train, test, tuple(layout.class_names))


def _write_encoded(
    files: FileSource, layout: _Layout, side: int, target: Path, progress: ProgressCallback
) -> DatasetDescription:
    train = EncodedPart(_flat(layout.train), _labels(layout.train))
    test = EncodedPart(_flat(layout.test), _labels(layout.test))
    channels = write_encoded(target, files, train, test, progress)
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


def _counts(classes: PathsByClass) -> torch.Tensor:
    """Return the number of images of each class, [K]."""
    return torch.tensor([len(paths) for paths in classes])


def _labels(classes: PathsByClass) -> torch.Tensor:
    return torch.arange(len(classes)).repeat_interleave(_counts(classes))


def _flat(classes: PathsByClass) -> list[str]:
    return [path for paths in classes for path in paths]


def _skip_wrappers(files: FileSource) -> str:
    """Return the folder that has the class folders, or the train and test folders.

    Archives often wrap everything in a folder of its own.
    """
    top = ""
    for _ in range(MAX_WRAPPERS):
        folders = _folders(files, top)
        if len(folders) != 1 or not _folders(files, _join(top, folders[0])):
            break
        top = _join(top, folders[0])
    return top


def _find_layout(files: FileSource, top: str, options: ImportOptions) -> _Layout:
    folders = {name.lower(): name for name in _folders(files, top)}
    test_folder = next((folders[name] for name in TEST_FOLDERS if name in folders), None)
    if "train" not in folders or test_folder is None:
        return _unsplit_layout(files, top, options)
    train_folder = folders["train"]
    layout = _split_layout(files, _join(top, train_folder), _join(top, test_folder), options)
    unused = sorted(set(folders.values()) - {train_folder, test_folder})
    note = f" Not used: {', '.join(map(quote, unused))}." if unused else ""
    return replace(layout, sentence=layout.sentence + note)


def _split_layout(files: FileSource, train: str, test: str, options: ImportOptions) -> _Layout:
    class_names = _class_names(files, train)
    for name in sorted(set(_folders(files, test)) - set(class_names)):
        raise Refused(
            f"{quote(_join(test, name))} has no training images: {quote(_join(train, name))} is "
            "missing. Every class needs a folder in both.",
            code="empty_class",
        )
    selected = select_classes(class_names, options)
    sentence = (
        f"One folder a class, training images in {quote(train)} and test images in {quote(test)}."
    )
    return _Layout(
        selected,
        _image_paths(files, train, selected),
        _image_paths(files, test, selected),
        sentence + selection_sentence(class_names, selected),
    )


def _unsplit_layout(files: FileSource, top: str, options: ImportOptions) -> _Layout:
    class_names = _class_names(files, top)
    selected = select_classes(class_names, options)
    classes = _image_paths(files, top, selected)
    test = [paths[TEST_EVERY - 1 :: TEST_EVERY] for paths in classes]
    train = [
        [path for number, path in enumerate(paths, start=1) if number % TEST_EVERY]
        for paths in classes
    ]
    if not any(test):
        largest = max(map(len, classes))
        raise Refused(
            "There are no test images: without folders train and test, every "
            f"{TEST_EVERY}th image of a class becomes one, and the largest class has {largest}.",
            code="no_test_images",
        )
    sentence = (
        "One folder a class, not split: by name, every "
        f"{TEST_EVERY}th image of each class became a test image."
    )
    sentence += selection_sentence(class_names, selected)
    return _Layout(selected, train, test, sentence)


def _class_names(files: FileSource, top: str) -> list[str]:
    names = _folders(files, top)
    if len(names) < 2:
        raise Refused(
            f"The number of class folders is {len(names)}; at least two are needed, as "
            "train/CLASS/... and test/CLASS/..., or as CLASS/...",
            code="too_few_classes",
        )
    if len(names) > MAX_CLASSES:
        raise Refused(
            f"There are {len(names)} class folders; a data set may have at most {MAX_CLASSES} "
            "classes.",
            code="too_large",
        )
    for name in names:
        if not is_unicode(name):
            raise Refused(
                f"The name of the class folder {quote(name)} is not UTF-8; rename it.",
                code="unknown_format",
            )
        if has_control_characters(name):
            raise Refused(
                f"The name of the class folder {quote(name)} has control characters; rename it.",
                code="unknown_format",
            )
    return names


def _image_paths(files: FileSource, top: str, class_names: list[str]) -> PathsByClass:
    """Return the images below each class's folder in ``top``, at any depth."""
    paths_of: dict[str, list[str]] = {name: [] for name in class_names}
    prefix = _join(top, "")
    for path in files:
        if not path.startswith(prefix):
            continue
        name, separator, _ = path[len(prefix) :].partition("/")
        if separator and name in paths_of and file_kind(path) == "image":
            paths_of[name].append(path)
    for name, paths in paths_of.items():
        if not paths:
            raise Refused(
                f"The class folder {quote(_join(top, name))} has no images; supported formats are "
                f"{', '.join(FORMATS)}.",
                code="empty_class",
            )
        paths.sort()
    return list(paths_of.values())


def _folders(files: FileSource, top: str) -> list[str]:
    """Return the names of the folders directly in ``top``."""
    return sorted(
        path.rpartition("/")[2] for path in files.folders if path.rpartition("/")[0] == top
    )


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
