"""Finds the folders of the classes, and those of training and test images.

Folders that hold the same folders are parts of a split, and not classes, whatever their names are.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.distillation.data.importing.layout.folder_names import FolderRole, folder_role, is_exact
from core.distillation.data.importing.layout.folder_tree import FolderTree, join
from core.distillation.data.quoting import quote
from core.errors import Refused

MAX_WRAPPERS = 8
MAX_NAMED = 20
TEST_EVERY = 5

_SPLIT: tuple[FolderRole, ...] = ("train", "test", "val")
Roles = dict[str, FolderRole | None]
ClassFolders = dict[str, str]
"""The folder of each class, by the class's name, in alphabetical order."""


@dataclass(frozen=True)
class FolderLayout:
    train: ClassFolders
    test: ClassFolders | None
    """None: every fifth image of a class becomes a test image."""
    sentence: str
    """For the report: how the folders were understood."""
    train_folder: str = ""
    test_folder: str = ""
    """The folders of the split; the root where the classes are not below them."""


def find_layout(tree: FolderTree) -> FolderLayout:
    """Return the layout. Raises Refused (unknown_format, too_few_classes) where it is unclear."""
    top = _skip_wrappers(tree, "")
    names = _candidates(tree, top)
    layout = _find_split(tree, top, names) or _find_folders_in_classes(tree, top, names)
    if layout is None:
        _refuse_equal_folders(tree, top, names)
        layout = _unsplit_layout(tree, top)
    return layout


def _skip_wrappers(tree: FolderTree, folder: str) -> str:
    """Return the folder that has the class folders, or the train and test folders.

    Archives often wrap everything in a folder of its own.
    """
    for _ in range(MAX_WRAPPERS):
        names = _candidates(tree, folder)
        if len(names) != 1 or not tree.has_folders(join(folder, names[0])):
            break
        folder = join(folder, names[0])
    return folder


def _candidates(tree: FolderTree, top: str) -> list[str]:
    """Return the names of the folders in ``top``, without those that only describe images.

    Such a folder repeats the folders of one with images, and has none itself or is called
    ``Annotation`` beside ``Images``.
    """
    folders = {name: join(top, name) for name in tree.names(top)}
    with_images = {name for name, folder in folders.items() if tree.has_images(folder)}
    repeated = {tree.names_if_several(folders[name]) for name in with_images} - {frozenset()}
    names = [
        name
        for name, folder in folders.items()
        if name in with_images or tree.names_if_several(folder) not in repeated
    ]
    images = [name for name in names if folder_role(name) == "images"]
    if len(images) != 1 or len(tree.names(folders[images[0]])) < 2:
        return names
    equal = tree.names_if_several(folders[images[0]])
    return [
        name
        for name in names
        if name in images
        or (
            name in with_images
            and not (
                folder_role(name) == "annotations" and tree.names_if_several(folders[name]) == equal
            )
        )
    ]


def _class_folders(tree: FolderTree, folder: str) -> ClassFolders:
    return {name: join(folder, name) for name in _candidates(tree, folder)}


def _unsplit_layout(tree: FolderTree, folder: str) -> FolderLayout:
    place = f" in {quote(folder)}" if folder_role(folder.rpartition("/")[2]) == "train" else ""
    sentence = (
        f"One folder a class{place}, not split: by name, every {TEST_EVERY}th image of each class "
        "became a test image."
    )
    return FolderLayout(_class_folders(tree, folder), None, sentence)


# -- train and test folders


@dataclass(frozen=True)
class _TestPart:
    """A folder of test or validation images that are divided into classes."""

    name: str
    folder: str
    role: FolderRole
    classes: frozenset[str]

    def rank(self, classes: frozenset[str]) -> tuple[bool, bool, bool, bool]:
        """What makes a part the better one, smallest first. ``classes``: of the training images."""
        return (
            not self.classes & classes,
            self.role != "test",
            self.classes != classes,
            not is_exact(self.name),
        )


def _find_split(tree: FolderTree, top: str, names: list[str]) -> FolderLayout | None:
    """Return the layout of a train folder and those beside it; None without a train folder."""
    roles = {name: folder_role(name) for name in names if tree.has_images(join(top, name))}
    train_name = _train_name(tree, top, roles)
    if train_name is None:
        return None
    train = _skip_wrappers(tree, join(top, train_name))
    classes = frozenset(_candidates(tree, train))
    others = {name: role for name, role in roles.items() if name != train_name}
    evaluation: Roles = {name: role for name, role in others.items() if role in ("test", "val")}
    unnamed: Roles = dict.fromkeys(others, "test")
    parts = _test_parts(tree, top, evaluation or unnamed, classes)
    if not evaluation:
        parts = [part for part in parts if part.classes == classes]
        if not parts and any(tree.has_folders(join(top, name)) for name in others):
            return None  # one of several classes with folders in them is called train
    unlabeled = sorted(set(evaluation) - {part.name for part in parts})
    if not parts:
        layout = _unsplit_layout(tree, train)
        sentence = layout.sentence + _beside(tree, top, {train_name}, unlabeled)
        return replace(layout, sentence=sentence)
    part = _best_part(parts, classes)
    sentence = (
        f"One folder a class, training images in {quote(train)} and test images in "
        f"{quote(part.folder)}."
    )
    sentence += _beside(tree, top, {train_name, part.name}, unlabeled)
    test = _class_folders(tree, part.folder)
    return FolderLayout(_class_folders(tree, train), test, sentence, train, part.folder)


def _train_name(tree: FolderTree, top: str, roles: Roles) -> str | None:
    """Return the name of the folder of training images. Raises Refused where two may be it."""
    by_name = [name for name, role in roles.items() if role == "train"]
    train = [name for name in by_name if tree.has_folders(join(top, name))]
    if not train:
        if len(roles) > 1 and all(role in _SPLIT for role in roles.values()):
            raise Refused(
                f"{_enumerate(roles)} are parts of a split, and none with training images has "
                "class folders in it; images are needed as train/CLASS/... and test/CLASS/...",
                code="too_few_classes",
            )
        evaluation = [name for name, role in roles.items() if role in ("test", "val")]
        equal = {tree.names_if_several(join(top, name)) for name in evaluation} - {frozenset()}
        train = [
            name
            for name in roles
            if name not in evaluation and tree.names_if_several(join(top, name)) in equal
        ]
        return train[0] if len(train) == 1 else None
    exact = [name for name in train if is_exact(name)]
    return _only_one(exact or train, "training images")


def _test_parts(
    tree: FolderTree, top: str, roles: Roles, classes: frozenset[str]
) -> list[_TestPart]:
    """Return the folders that are divided into classes."""
    parts = []
    for name, role in roles.items():
        folder = join(top, name)
        for _ in range(MAX_WRAPPERS):
            names = _candidates(tree, folder)
            if len(names) != 1 or names[0] in classes:
                break
            folder = join(folder, names[0])
        if role is not None and names and (len(names) > 1 or names[0] in classes):
            parts.append(_TestPart(name, folder, role, frozenset(names)))
    return parts


def _best_part(parts: list[_TestPart], classes: frozenset[str]) -> _TestPart:
    """Return the folder of test images. Raises Refused where two may be it."""
    rank = min(part.rank(classes) for part in parts)
    best = [part for part in parts if part.rank(classes) == rank]
    name = _only_one([part.name for part in best], "test images")
    return next(part for part in best if part.name == name)


def _only_one(names: list[str], content: str) -> str:
    if len(names) > 1:
        raise Refused(
            f"{_enumerate(names)} may all be the folder of {content}; rename all but one, or leave "
            "them out.",
            code="unknown_format",
        )
    return names[0]


def _beside(tree: FolderTree, top: str, used: set[str], unlabeled: list[str]) -> str:
    """Return sentences about the folders beside those that are used."""
    sentences = ""
    if unlabeled:
        sentences = (
            f" The labels of {_enumerate(unlabeled)} are unknown: there are no folders of the "
            "classes in it."
        )
    unused = [name for name in tree.names(top) if name not in used]
    return sentences + (f" Not used: {_enumerate(unused)}." if unused else "")


# -- folders in class folders


def _find_folders_in_classes(tree: FolderTree, top: str, names: list[str]) -> FolderLayout | None:
    """Return the layout of classes that each have a train and a test folder, or one of images.

    The latter beside one of annotations. None for classes with other folders in them, or none.
    """
    folders = [join(top, name) for name in names]
    by_role = [
        {folder_role(name): join(folder, name) for name in tree.names(folder)} for folder in folders
    ]
    if len(names) < 2 or not all(len(roles) > 1 for roles in by_role):
        return None
    common: set[FolderRole | None] = set.intersection(*(set(roles) for roles in by_role))
    train_role: FolderRole = "train" if "train" in common else "images"
    test_role: FolderRole = "test" if "test" in common else "val"
    is_split = train_role == "train" and test_role in common
    is_annotated = {"images", "annotations"} <= common
    if not is_split and not is_annotated:
        return None
    train = {name: roles[train_role] for name, roles in zip(names, by_role, strict=True)}
    first = train[names[0]].rpartition("/")[2]
    if not is_split:
        sentence = (
            f"One folder a class, images in its folder {quote(first)}, not split: by name, every "
            f"{TEST_EVERY}th image of each class became a test image."
        )
        return FolderLayout(train, None, sentence)
    test = {name: roles[test_role] for name, roles in zip(names, by_role, strict=True)}
    second = test[names[0]].rpartition("/")[2]
    sentence = (
        f"One folder a class, training images in its folder {quote(first)} and test images in its "
        f"folder {quote(second)}."
    )
    return FolderLayout(train, test, sentence)


def _refuse_equal_folders(tree: FolderTree, top: str, names: list[str]) -> None:
    """Raise Refused where folders hold the same folders, and their names do not say why."""
    equal: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for name in names:
        if tree.has_images(join(top, name)):
            equal[tree.names_if_several(join(top, name))].append(name)
    equal.pop(frozenset(), None)
    for inner, outer in equal.items():
        if len(outer) > 1:
            raise Refused(
                f"{_enumerate(outer)} hold the same folders, {_enumerate(sorted(inner))}, so they "
                "seem to be parts of a split and not classes. Call them train and test; if they "
                "are classes, move their images out of the folders in them.",
                code="unknown_format",
            )


def _enumerate(names: Iterable[str]) -> str:
    """Return the names in quotation marks; of many, only the first."""
    quoted = list(map(quote, names))
    rest = len(quoted) - MAX_NAMED
    return ", ".join(quoted[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
