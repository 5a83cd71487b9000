"""Finds the folders of the classes, and those of training and test images.

Folders that hold the same folders are parts of a split, and not classes, whatever their names are.
Where more than one reading is likely, none is chosen: the refusal asks.
"""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from core.distillation.data.importing.layout.class_folders import (
    MAX_WRAPPERS,
    are_alike,
    candidates,
    inner_folders,
    missing_parts,
    skip_wrappers,
)
from core.distillation.data.importing.layout.folder_names import (
    SPLIT_ROLES,
    FolderRole,
    folder_role,
    is_exact,
)
from core.distillation.data.importing.layout.folder_tree import FolderTree, join, parents
from core.distillation.data.quoting import quote
from core.errors import Refused

MAX_NAMED = 20
TEST_EVERY = 5

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
    top = skip_wrappers(tree, "")
    names = candidates(tree, top)
    layout = (
        _find_split(tree, top, names)
        or _find_folders_in_classes(tree, top, names)
        or _find_split_below(tree, top, names)
    )
    if layout is None:
        _refuse_partly_split_classes(tree, top, names)
        _refuse_equal_folders({name: join(top, name) for name in names}, tree)
        layout = _unsplit_layout(tree, top)
    return replace(layout, sentence=layout.sentence + _not_used(tree, layout))


def _class_folders(tree: FolderTree, folder: str) -> ClassFolders:
    return {name: join(folder, name) for name in candidates(tree, folder)}


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
    missing = missing_parts(tree, top)
    roles = {
        name: folder_role(name)
        for name in names
        if name in missing or tree.has_images(join(top, name))
    }
    train_name = _train_name(tree, top, roles)
    if train_name is None:
        return None
    train = skip_wrappers(tree, join(top, train_name))
    classes = frozenset(candidates(tree, train))
    others = {name: role for name, role in roles.items() if name != train_name}
    evaluation: Roles = {name: role for name, role in others.items() if role in ("test", "val")}
    unnamed: Roles = dict.fromkeys(others, "test")
    parts = _test_parts(tree, top, evaluation or unnamed, classes)
    if not evaluation:
        parts = [part for part in parts if part.classes == classes]
        if not parts and any(tree.has_folders(join(top, name)) for name in others):
            return None  # one of several classes with folders in them is called train
        if not parts and len(others) > 1:
            _refuse_train_beside_others(train_name, others)
    if parts:
        return _split_layout(tree, train, _best_part(parts, classes), evaluation, parts)
    layout = _unsplit_layout(tree, train)
    return replace(layout, sentence=layout.sentence + _unlabeled(evaluation, parts))


def _split_layout(
    tree: FolderTree, train: str, test: _TestPart, evaluation: Roles, parts: list[_TestPart]
) -> FolderLayout:
    sentence = (
        f"One folder a class, training images in {quote(train)} and test images in "
        f"{quote(test.folder)}." + _unlabeled(evaluation, parts)
    )
    classes = _class_folders(tree, train)
    return FolderLayout(classes, _class_folders(tree, test.folder), sentence, train, test.folder)


def _unlabeled(evaluation: Roles, parts: list[_TestPart]) -> str:
    """Return a sentence about the folders of test images that are not divided into classes."""
    unlabeled = sorted(set(evaluation) - {part.name for part in parts})
    if not unlabeled:
        return ""
    return (
        f" The labels of {_enumerate(unlabeled)} are unknown: there are no folders of the "
        "classes in it."
    )


def _refuse_train_beside_others(train_name: str, others: Roles) -> None:
    raise Refused(
        f"{quote(train_name)} has folders in it, and beside it {_enumerate(others)} have images "
        "and no folders. If all of them are classes, move the images out of the folders in "
        f"{quote(train_name)}; if it has the training images, leave the others out.",
        code="unknown_format",
    )


def _train_name(tree: FolderTree, top: str, roles: Roles) -> str | None:
    """Return the name of the folder of training images. Raises Refused where two may be it."""
    by_name = [name for name, role in roles.items() if role == "train"]
    train = [name for name in by_name if tree.has_folders(join(top, name))]
    if not train:
        if len(roles) > 1 and all(role in SPLIT_ROLES for role in roles.values()):
            raise Refused(
                f"{_enumerate(roles)} are parts of a split, and none with training images has "
                "class folders in it; images are needed as train/CLASS/... and test/CLASS/...",
                code="too_few_classes",
            )
        evaluation = [name for name, role in roles.items() if role in ("test", "val")]
        inner = {name: inner_folders(tree, join(top, name)) for name in roles}
        train = [
            name
            for name in roles
            if name not in evaluation
            and any(are_alike(inner[name], inner[part]) for part in evaluation)
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
            names = candidates(tree, folder)
            if len(names) != 1 or names[0] in classes:
                break
            folder = join(folder, names[0])
        # Without images, a folder of none of the classes has something else than test images.
        is_divided = bool(classes.intersection(names)) or (
            len(names) > 1 and tree.has_images(folder)
        )
        if role is not None and is_divided:
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


def _not_used(tree: FolderTree, layout: FolderLayout) -> str:
    """Return a sentence about the folders beside those of the classes, and beside their parents."""
    used = {*layout.train.values(), *(layout.test or {}).values()}
    surroundings = {parent for folder in used for parent in parents(folder)}
    unused = [
        path
        for parent in sorted(surroundings)
        for path in (join(parent, name) for name in tree.names(parent))
        if path not in used and path not in surroundings
    ]
    return f" Not used: {_enumerate(unused)}." if unused else ""


def _find_split_below(tree: FolderTree, top: str, names: list[str]) -> FolderLayout | None:
    """Return the layout of training and test images below one of several folders.

    Raises Refused where they are below several.
    """
    layouts = {}
    for name in names:
        folder = skip_wrappers(tree, join(top, name))
        with suppress(Refused):  # as a class with folders train and test, which have no folders
            layout = _find_split(tree, folder, candidates(tree, folder))
            if layout is not None and layout.test and layout.test.keys() & layout.train.keys():
                layouts[name] = layout
    if len(layouts) > 1:
        raise Refused(
            f"{_enumerate(layouts)} each have training and test images in them, so they seem to "
            "be data sets of their own. Import them one by one, or leave out all but one.",
            code="unknown_format",
        )
    return next(iter(layouts.values()), None)


# -- folders in class folders


def _find_folders_in_classes(tree: FolderTree, top: str, names: list[str]) -> FolderLayout | None:
    """Return the layout of classes that each have a train and a test folder, or one of images.

    The latter beside one of annotations. None for classes with other folders in them, or none.
    """
    roles_of = {
        name: {folder_role(inner): inner for inner in tree.names(join(top, name))} for name in names
    }
    if len(names) < 2:
        return None
    common = set.intersection(*(set(roles) for roles in roles_of.values()))
    test_role: FolderRole = "test" if "test" in common else "val"
    is_split = "train" in common and test_role in common
    is_annotated = "images" in common and any("annotations" in it for it in roles_of.values())
    if not is_split and not is_annotated:
        return None
    train_role: FolderRole = "train" if is_split else "images"
    train = {name: join(join(top, name), roles[train_role]) for name, roles in roles_of.items()}
    _refuse_equal_folders(train, tree)
    first = train[names[0]].rpartition("/")[2]
    if not is_split:
        sentence = (
            f"One folder a class, images in its folder {quote(first)}, not split: by name, every "
            f"{TEST_EVERY}th image of each class became a test image."
        )
        return FolderLayout(train, None, sentence)
    test = {name: join(join(top, name), roles[test_role]) for name, roles in roles_of.items()}
    second = test[names[0]].rpartition("/")[2]
    sentence = (
        f"One folder a class, training images in its folder {quote(first)} and test images in its "
        f"folder {quote(second)}."
    )
    return FolderLayout(train, test, sentence)


def _refuse_partly_split_classes(tree: FolderTree, top: str, names: list[str]) -> None:
    """Raise Refused where some classes have a train and a test folder, and others lack one."""
    roles_of: dict[str, Roles] = {}
    for name in names:
        folder = join(top, name)
        inner = (it for it in tree.names(folder) if tree.has_images(join(folder, it)))
        roles_of[name] = {it: folder_role(it) for it in inner}
    for example, roles in roles_of.items():
        train = [name for name, role in roles.items() if role == "train"]
        test = [name for name, role in roles.items() if role in ("test", "val")]
        for name in names if train and test else ():
            for part in (train[0], test[0]):
                if folder_role(part) not in roles_of[name].values():
                    raise Refused(
                        f"The class folder {quote(join(top, name))} has no folder {quote(part)} "
                        f"with images, and {quote(join(top, example))} has one; every class needs "
                        "both training and test images, or none of them a folder for these.",
                        code="empty_class",
                    )


def _refuse_equal_folders(folders: ClassFolders, tree: FolderTree) -> None:
    """Raise Refused where folders hold the same folders, and their names do not say why."""
    inner_of = {
        name: inner_folders(tree, folder)
        for name, folder in folders.items()
        if tree.has_images(folder)
    }
    outer_of: defaultdict[str, list[str]] = defaultdict(list)
    for name, inner in inner_of.items():
        for inner_name in inner:
            outer_of[inner_name].append(name)
    for inner in inner_of.values():
        rarest: list[str] = min((outer_of[it] for it in inner), key=len, default=[])
        outer = [name for name in rarest if inner <= inner_of[name]]
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
