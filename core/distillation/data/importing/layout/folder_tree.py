"""The folders of an upload as a tree, and the number of images below each."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from core.distillation.data.importing.file_kinds import file_kind
from core.distillation.data.importing.file_source import FileSource


class FolderTree:
    """Folders are known by their paths; the root is the empty string."""

    def __init__(self, files: FileSource) -> None:
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        for folder in files.folders:
            parent, _, name = folder.rpartition("/")
            self._names[parent].append(name)
        images_directly_in = Counter(
            path.rpartition("/")[0] for path in files if file_kind(path) != "cifar"
        )
        self._with_unread_images: set[str] = set()
        for folder in files.folders_of_unread_images:
            self._with_unread_images.update([folder, *parents(folder)])
        self._images: Counter[str] = Counter()
        for folder, count in images_directly_in.items():
            parent = folder
            while parent:
                self._images[parent] += count
                parent = parent.rpartition("/")[0]

    def names(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder, in alphabetical order."""
        return sorted(self._names.get(folder, ()))

    def names_if_several(self, folder: str) -> frozenset[str]:
        """Return the names of the folders directly in a folder; none where there is but one."""
        names = self._names.get(folder, [])
        return frozenset(names) if len(names) > 1 else frozenset()

    def has_folders(self, folder: str) -> bool:
        return folder in self._names

    def has_images(self, folder: str) -> bool:
        """Whether there is an image in the folder or in any folder below it."""
        return self._images[folder] > 0

    def has_unread_images(self, folder: str) -> bool:
        """Whether there is an image of a format that is not read, in the folder or below it."""
        return folder in self._with_unread_images


def parents(folder: str) -> Iterator[str]:
    """Yield the folders that a folder is in, up to the root."""
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
