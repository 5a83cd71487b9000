"""The folders of an upload, and which of them are empty."""

from core.distillation.data.importing.file_kinds import is_junk, is_unread_image
from core.distillation.data.importing.layout import ignored_files
from core.distillation.data.importing.layout.ignored_files import IgnoredFiles


class FolderList:
    """All folders, hidden ones included, but not the root."""

    def __init__(self) -> None:
        self._folders: set[str] = set()
        self._parents: set[str] = set()
        """Those that have a file or a folder in them."""
        self.with_unread_images: set[str] = set()
        """Visible folders with images of a format that is not read."""

    def add(self, path: str) -> None:
        """Add a folder and all that it is in."""
        while path and path not in self._folders:
            self._folders.add(path)
            path = path.rpartition("/")[0]
            self._parents.add(path)

    def add_parent_of(self, path: str) -> None:
        """Add the folder that a file is in, and all that this folder is in."""
        folder = path.rpartition("/")[0]
        self._parents.add(folder)
        self.add(folder)
        if is_unread_image(path):
            self.with_unread_images.add(folder)

    def visible(self) -> set[str]:
        return {path for path in self._folders if not is_junk(path)}

    def ignore_empty(self, ignored: IgnoredFiles) -> None:
        """Add the folders with nothing in them to the files that are ignored."""
        for path in sorted(self._folders - self._parents):
            ignored.add(path, ignored_files.EMPTY_FOLDER)
