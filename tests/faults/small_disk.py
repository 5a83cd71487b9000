"""A service process with a small disk of its own, which a test fills and frees.

The disk is a tmpfs in a mount namespace of the process, so that no privileges are needed.
"""

import os
from contextlib import suppress
from pathlib import Path

from tests.worker.service import Service

MOUNT = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && "$@"; exit $?'
LAUNCHER = """
import os, sys
shell = ["unshare", "-rm", "sh", "-c", {mount!r}, {size!r}, {folder!r}]
os.execvp("unshare", [*shell, sys.executable, *{command!r}])
"""


class SmallDisk:
    """A disk that is mounted at ``folder`` of the process that ``start`` starts.

    The shell that mounts it stays alive: through its /proc entry the test sees the disk. A worker's
    own entry cannot be read, because a worker makes itself undumpable.
    """

    def __init__(self, folder: Path, kilobytes: int) -> None:
        self.folder = folder
        self.size = f"{kilobytes}k"
        self.service: Service | None = None
        folder.mkdir()

    def start(self, environment: dict[str, str], log: Path, *command: str) -> Service:
        launcher = LAUNCHER.format(
            mount=MOUNT, size=self.size, folder=str(self.folder), command=list(command)
        )
        self.service = Service(environment, log, ("-c", launcher))
        return self.service

    @property
    def mounted_folder(self) -> Path:
        """The folder as the process sees it."""
        assert self.service is not None
        return Path(f"/proc/{self.service.process.pid}/root{self.folder}")

    def fill(self) -> None:
        ballast_path = self.mounted_folder / "ballast"
        with suppress(OSError), ballast_path.open("ab", buffering=0) as ballast:
            while ballast.write(b"\0" * 4096) == 4096:
                pass

    def free(self) -> None:
        (self.mounted_folder / "ballast").unlink()

    def files(self) -> list[str]:
        """Return the relative paths of all files but the ballast."""
        root = self.mounted_folder
        paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
        return sorted(str(path.relative_to(root)) for path in paths if path.name != "ballast")
