"""A process of the service with a small disk of its own (a tmpfs that only it sees), which a test fills and frees."""

import os
from contextlib import suppress
from pathlib import Path

from tests.worker.service import Service

MOUNT = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && "$@"; exit $?'
LAUNCH = """
import os, sys
os.execvp("unshare", ["unshare", "-rm", "sh", "-c", {mount!r}, {size!r}, {folder!r}, sys.executable, *{command!r}])
"""


class SmallDisk:
    """Mounted at ``folder``, in a mount namespace of its own: no privileges are needed. The shell that mounts it stays, so that
    there is a process through which the test can see it: a worker lets nobody look at it.
    """

    def __init__(self, folder: Path, kilobytes: int) -> None:
        self.folder, self.size = folder, f"{kilobytes}k"
        self.service: Service | None = None
        folder.mkdir()

    def start(self, settings: dict[str, str], log: Path, *command: str) -> Service:
        text = LAUNCH.format(
            mount=MOUNT, size=self.size, folder=str(self.folder), command=list(command)
        )
        self.service = Service(settings, log, ("-c", text))
        return self.service

    @property
    def seen(self) -> Path:
        """The folder as the process sees it."""
        assert self.service is not None
        return Path(f"/proc/{self.service.process.pid}/root{self.folder}")

    def fill(self) -> None:
        with suppress(OSError), (self.seen / "ballast").open("ab", buffering=0) as ballast:
            while ballast.write(b"\0" * 4096) == 4096:
                pass

    def free(self) -> None:
        (self.seen / "ballast").unlink()

    def files(self) -> list[str]:
        """All but the ballast."""
        found = (Path(folder, name) for folder, _, names in os.walk(self.seen) for name in names)
        return sorted(str(path.relative_to(self.seen)) for path in found if path.name != "ballast")
