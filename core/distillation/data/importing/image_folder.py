"""Imports a folder of images: one folder for each class, with or without train and test folders.

K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from core.distillation.data.image_decoding import FORMATS
from core.distillation.data.images import Images
from core.distillation.data.importing.class_selection import (
    MAX_CLASSES,
    MAX_NAME_CHARACTERS,
    select_classes,
    selection_sentence,
)
from core.distillation.data.importing.encoded_writer import EncodedPart, write_encoded
from core.distillation.data.importing.file_kinds import (
    file_kind,
    has_control_characters,
    is_unicode,
    reason_to_ignore,
)
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.image_arrays import decode_images
from core.distillation.data.importing.import_result import ImportResult
from core.distillation.data.importing.layout import ignored_files
from core.distillation.data.importing.layout.folder_layout import (
    TEST_EVERY,
    ClassFolders,
    FolderLayout,
    find_layout,
)
from core.distillation.data.importing.layout.folder_tree import FolderTree, join, parents
from core.distillation.data.importing.packed_writer import describe, write_packed
from core.distillation.data.quoting import quote
from core.errors import Refused
from core.jobspec.data import DatasetDescription, ImportOptions

PathsByClass = list[list[str]]
"""Paths of each class's images, in alphabetical order; classes are in the order of their labels."""


@dataclass(frozen=True)
class _Selection:
    """The images to import."""

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
    with _explain_missing_images(files):
        selection = _select_images(files, find_layout(FolderTree(files)), options)
    if options.image_size is None:
        description, remarks = _write_decoded(files, selection, target, progress)
    else:
        description, remarks = _write_encoded(
            files, selection, options.image_size, target, progress
        )
    return ImportResult(
        description,
        selection.sentence,
        _counts(selection.train),
        _counts(selection.test),
        files.ignored,
        files.remarks + remarks,
    )


@contextmanager
def _explain_missing_images(files: FileSource) -> Iterator[None]:
    """Add to a refusal which files were ignored: they may be the images that are missing."""
    try:
        yield
    except Refused as error:
        if error.code not in ("empty_class", "too_few_classes", "no_test_images"):
            raise
        raise Refused(error.message + files.ignored.summary(), code=error.code) from error


def _write_decoded(
    files: FileSource, selection: _Selection, target: Path, progress: ProgressCallback
) -> tuple[DatasetDescription, list[str]]:
    train_paths = _flat(selection.train)
    images_NCHW, remarks = decode_images(files, train_paths + _flat(selection.test), progress)
    train = Images(images_NCHW[: len(train_paths)], _labels(selection.train))
    test = Images(images_NCHW[len(train_paths) :], _labels(selection.test))
    write_packed(target, train, test)
    return describe(train, test, tuple(selection.class_names)), remarks


def _write_encoded(
    files: FileSource, selection: _Selection, side: int, target: Path, progress: ProgressCallback
) -> tuple[DatasetDescription, list[str]]:
    train = EncodedPart(_flat(selection.train), _labels(selection.train))
    test = EncodedPart(_flat(selection.test), _labels(selection.test))
    channels, remarks = write_encoded(target, files, train, test, progress)
    description = DatasetDescription(
        source="encoded",
        classes=len(selection.class_names),
        class_names=tuple(selection.class_names),
        channels=channels,
        height=side,
        width=side,
        train_images=len(train.paths),
        test_images=len(test.paths),
    )
    return description, remarks


def _counts(classes: PathsByClass) -> torch.Tensor:
    """Return the number of images of each class, [K]."""
    return torch.tensor([len(paths) for paths in classes])


def _labels(classes: PathsByClass) -> torch.Tensor:
    return torch.arange(len(classes)).repeat_interleave(_counts(classes))


def _flat(classes: PathsByClass) -> list[str]:
    return [path for paths in classes for path in paths]


# -- selecting images


def _select_images(files: FileSource, layout: FolderLayout, options: ImportOptions) -> _Selection:
    names = list(layout.train)
    _check_class_names(names)
    _check_test_classes(layout)
    selected = select_classes(names, options)
    paths_of = _images_by_folder(files, layout, set(selected))
    train = _non_empty(paths_of, layout.train_folder, layout.train, selected)
    if layout.test is None:
        train, test = _split(train)
    else:
        test = _non_empty(paths_of, layout.test_folder, layout.test, selected)
    sentence = layout.sentence + selection_sentence(names, selected)
    return _Selection(selected, train, test, sentence)


def _split(classes: PathsByClass) -> tuple[PathsByClass, PathsByClass]:
    """Return training and test images: every fifth image of a class is a test image."""
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
    return train, test


def _check_class_names(names: list[str]) -> None:
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
        if len(name) > MAX_NAME_CHARACTERS:
            raise Refused(
                f"The name of the class folder {quote(name)} has {len(name)} characters; it may "
                f"have at most {MAX_NAME_CHARACTERS}.",
                code="unknown_format",
            )


def _check_test_classes(layout: FolderLayout) -> None:
    for name in layout.test or ():
        if name not in layout.train:
            raise Refused(
                f"{quote(join(layout.test_folder, name))} has no training images: "
                f"{quote(join(layout.train_folder, name))} is missing. Every class needs a folder "
                "in both.",
                code="empty_class",
            )


def _images_by_folder(
    files: FileSource, layout: FolderLayout, selected: set[str]
) -> dict[str, list[str]]:
    """Return the sorted paths of the images below each folder of a selected class, at any depth.

    All others are added to the files that are ignored, and so is a link to an image of a class
    folder: an image has one label, and is one training or test image.
    """
    classes = [*layout.train.items(), *(layout.test or {}).items()]
    all_folders = {folder for _, folder in classes}
    surroundings = {parent for folder in all_folders for parent in parents(folder)}
    depths = sorted({folder.count("/") + 1 for folder in all_folders})
    paths_of: dict[str, list[str]] = {folder: [] for name, folder in classes if name in selected}
    for path in files:
        folder = _folder_of(path, depths, all_folders)
        if folder in paths_of and file_kind(path) != "cifar":
            paths_of[folder].append(path)
        else:
            files.ignored.add(path, _reason_to_ignore(path, folder, surroundings))
    if files.links:
        _remove_links(files, paths_of, depths, all_folders)
    for paths in paths_of.values():
        paths.sort()
    return paths_of


def _remove_links(
    files: FileSource, paths_of: dict[str, list[str]], depths: list[int], all_folders: set[str]
) -> None:
    """Remove the links to images of class folders, whether their class is selected or not."""
    for folder, paths in paths_of.items():
        remaining = []
        for path in paths:
            target_folder = _folder_of(files.links.get(path, ""), depths, all_folders)
            if target_folder is None:
                remaining.append(path)
            elif target_folder in paths_of:
                files.ignored.add(path, ignored_files.FILE_READ_BEFORE)
            else:
                files.ignored.add(path, ignored_files.OTHER_CLASS)
        paths_of[folder] = remaining


def _reason_to_ignore(path: str, class_folder: str | None, surroundings: set[str]) -> str:
    """Return why an image is not imported. ``surroundings``: what the class folders are in."""
    if file_kind(path) == "cifar":
        return reason_to_ignore(path)
    if class_folder is not None:
        return ignored_files.OTHER_CLASS
    is_outside = path.rpartition("/")[0] in surroundings
    return ignored_files.OUTSIDE_CLASSES if is_outside else ignored_files.UNUSED_FOLDER


def _folder_of(path: str, depths: list[int], folders: set[str]) -> str | None:
    """Return which of the folders a path is in. ``depths``: how many parts their paths have."""
    parts = path.split("/")
    for depth in depths:
        folder = "/".join(parts[:depth])
        if depth < len(parts) and folder in folders:
            return folder
    return None


def _non_empty(
    paths_of: dict[str, list[str]], top: str, folders: ClassFolders, selected: list[str]
) -> PathsByClass:
    """Return the images of the selected classes. Raises Refused for one without images."""
    for name in selected:
        folder = folders.get(name, join(top, name))
        if not paths_of.get(folder):
            raise Refused(
                f"The class folder {quote(folder)} has no images; supported formats are "
                f"{', '.join(FORMATS)}.",
                code="empty_class",
            )
    return [paths_of[folders[name]] for name in selected]
