"""Which folders of a folder may be classes, or the parts of a split."""

from core.distillation.data.importing.layout.folder_names import (
    SPLIT_ROLES,
    folder_role,
    names_annotations,
)
from core.distillation.data.importing.layout.folder_tree import FolderTree, join

MAX_WRAPPERS = 8


def skip_wrappers(tree: FolderTree, folder: str) -> str:
    """Return the folder that has the class folders, or the train and test folders.

    Archives often wrap everything in a folder of its own.
    """
    for _ in range(MAX_WRAPPERS):
        names = candidates(tree, folder)
        if len(names) != 1 or not tree.has_folders(join(folder, names[0])):
            break
        folder = join(folder, names[0])
    return folder


def candidates(tree: FolderTree, top: str) -> list[str]:
    """Return the names of the folders in ``top``, without those that only describe images."""
    names = tree.names(top)
    with_images = {name for name in names if tree.has_images(join(top, name))}
    missing = missing_parts(tree, top)
    images_folder = _images_folder(tree, top)
    if images_folder is not None:
        return [
            name
            for name in names
            if name == images_folder
            or name in missing
            or (name in with_images and not _annotates(tree, top, name, images_folder))
        ]
    repeated = {tree.names_if_several(join(top, name)) for name in with_images} - {frozenset()}
    return [
        name
        for name in names
        if name in with_images
        or name in missing
        or tree.names_if_several(join(top, name)) not in repeated
        or not _may_describe(tree, join(top, name), len(with_images))
    ]


def missing_parts(tree: FolderTree, top: str) -> set[str]:
    """Return the parts of the split that should have images, by their names, and have none.

    Their classes are refused by name, instead of training or testing without these images.
    """
    names = tree.names(top)
    present = {folder_role(name) for name in names if tree.has_images(join(top, name))}
    return {
        name
        for name in names
        if folder_role(name) in SPLIT_ROLES
        and folder_role(name) not in present
        and tree.has_folders(join(top, name))
        and not names_annotations(name)
    }


def inner_folders(tree: FolderTree, folder: str) -> frozenset[str]:
    """Return the names of the folders in a folder, or in its wrappers; none where there is one."""
    return tree.names_if_several(skip_wrappers(tree, folder))


def are_alike(first: frozenset[str], second: frozenset[str]) -> bool:
    """Return whether the one has all folders of the other, and these are at least two."""
    common = first & second
    return len(common) > 1 and common in (first, second)


def _images_folder(tree: FolderTree, top: str) -> str | None:
    """Return the only folder that is called `Images` or the like, if it has folders in it."""
    images = [name for name in tree.names(top) if folder_role(name) == "images"]
    if len(images) != 1 or len(tree.names(join(top, images[0]))) < 2:
        return None
    return images[0]


def _annotates(tree: FolderTree, top: str, name: str, images_folder: str) -> bool:
    """Return whether a folder has the masks or the like of those of ``images_folder``.

    In folders of the same names, or not divided into classes at all.
    """
    if folder_role(name) != "annotations":
        return False
    inner = tree.names_if_several(join(top, name))
    return not inner or are_alike(inner, tree.names_if_several(join(top, images_folder)))


def _may_describe(tree: FolderTree, folder: str, folders_with_images: int) -> bool:
    """Return whether a folder without images, which repeats another's folders, describes these.

    Beside several folders with images it may be one more class, and so it may with images of a
    format that is not read.
    """
    if folder_role(folder.rpartition("/")[2]) == "annotations":
        return True
    return folders_with_images == 1 and not tree.has_unread_images(folder)
