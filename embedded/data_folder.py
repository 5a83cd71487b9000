"""The data folder of the embedded service: its lock, its admin key, and its address."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from core.atomic_files import remove_partial_files, write_atomically
from core.errors import Unauthenticated
from core.store.access import keys
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT

KEY_NAME = "embedded-admin"
OWNER_ONLY = 0o600


class FolderInUse(Exception):
    """Another embedded service uses the folder."""


class DataFolder:
    """Paths of one data folder, and the few files in it that the embedded service writes itself."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.key_file = self.path / "admin.key"
        self.url_file = self.path / "url"
        self.logs_folder = self.path / "logs"

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs_folder.mkdir(exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other services out of the folder. Raises FolderInUse.

        The kernel releases the lock however this process ends.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
            os.close(descriptor)
            message = f"{self.path} is in use by another embedded service (process {owner})."
            raise FolderInUse(message) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            remove_partial_files(self.path)
            yield
        finally:
            self.url_file.unlink(missing_ok=True)
            os.close(descriptor)

    def save_url(self, url: str) -> None:
        """Save the address of the running service, for clients on this machine."""
        write_atomically(self.url_file, f"{url}\n".encode(), mode=OWNER_ONLY)

    def ensure_key(self, engine: Engine) -> str:
        """Make sure that the key file holds a valid key with every scope, for its owner only.

        Return the key's id.
        """
        secret = self._read_valid_key(engine)
        if secret is not None:
            # A key that an older program made may lack scopes that there are now.
            key = keys.ensure(engine, DEFAULT_PROJECT, KEY_NAME, keys.SCOPES, secret)
            self.key_file.chmod(OWNER_ONLY)
            return key.id
        with write_session(engine) as session:
            key, secret = keys.create(session, DEFAULT_PROJECT, KEY_NAME, keys.SCOPES)
            # Within the transaction: no key is created that could not be saved.
            write_atomically(self.key_file, f"{secret}\n".encode(), mode=OWNER_ONLY)
        return key.id

    def _read_valid_key(self, engine: Engine) -> str | None:
        """Return the key in the file; None unless it is an admin's of the default project."""
        try:
            secret = self.key_file.read_text().strip()
            key = keys.authenticate(engine, secret)
        except (FileNotFoundError, UnicodeDecodeError, Unauthenticated):
            return None
        return secret if "admin" in key.scopes and key.project_id == DEFAULT_PROJECT else None
