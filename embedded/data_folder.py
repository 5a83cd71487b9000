"""The embedded service's folder: who may use it, the first key in it, and where the service says that it is."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from core.errors import Unauthenticated
from core.store import keys
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT

NAME = "embedded-admin"


class FolderInUse(Exception):
    pass


class DataFolder:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.key = self.path / "admin.key"
        self.url = self.path / "url"
        self.logs = self.path / "logs"

    def make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else's while this is open; the kernel lets go of it however this process ends. Raises InUse."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
            os.close(descriptor)
            raise FolderInUse(
                f"{self.path} is in use by another embedded service (process {holder})."
            ) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            self.url.unlink(missing_ok=True)
            os.close(descriptor)

    def ensure_key(self, engine: Engine) -> None:
        """A key with every scope that works, in a file that only its owner can read."""
        if (known := self._working_key(engine)) is not None:
            keys.ensure(
                engine, DEFAULT_PROJECT, NAME, keys.SCOPES, known
            )  # an older program's key had fewer
            self.key.chmod(0o600)
            return
        with write_session(engine) as session:
            _, secret = keys.create(session, DEFAULT_PROJECT, NAME, keys.SCOPES)
            # Inside the transaction: a key that could not be written down is never made.
            write_private(self.key, f"{secret}\n")

    def _working_key(self, engine: Engine) -> str | None:
        """The file's, where it is an admin's of this project."""
        try:
            secret = self.key.read_text().strip()
            key = keys.authenticate(engine, secret)
        except (FileNotFoundError, UnicodeDecodeError, Unauthenticated):
            return None
        return secret if "admin" in key.scopes and key.project_id == DEFAULT_PROJECT else None


def write_private(path: Path, text: str) -> None:
    """All of it or nothing, and readable by its owner only from its first moment on."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
