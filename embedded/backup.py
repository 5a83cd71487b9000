"""``python -m embedded.backup save|restore FOLDER --data DATA``: back up an embedded service, which
may be running, and restore it.

A backup is a folder:

    manifest.json     what made it and when, its schema, and the SHA-256 of the files beside it
    distill.db        the database, which knows the size and SHA-256 of every object
    admin.key
    objects/…

Both directions do the same: they copy a database and every object that its rows refer to, and
verify each by its SHA-256 on the way. The copy appears under its name when it is complete.
"""

import argparse
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from core import __version__
from core.atomic_files import atomic_folder, sha256_of
from core.errors import CorruptObject, DistillError
from core.settings import embedded_settings
from core.store.database import schema
from core.store.database.engine import make_engine, migrate
from core.store.objects import references
from core.store.objects.store import Objects

FORMAT = "distill-backup-1"
DATABASE = "distill.db"
KEY = "admin.key"
MANIFEST = "manifest.json"
COPY_ROUNDS = 3


class BackupError(Exception):
    """A backup cannot be made or restored; the message says why."""


@dataclass(frozen=True)
class Manifest:
    """The contents of manifest.json.

    ``objects`` and ``bytes``: how many objects there are, and their size. ``sha256``: by name, of
    the files beside it.
    """

    format: str
    program: str
    schema: str
    made_at: str
    objects: int
    bytes: int
    sha256: dict[str, str]


def save(data: Path, target: Path) -> Manifest:
    """Back up the data folder ``data`` as the new folder ``target``.

    Raises BackupError, TargetUnavailable, and DistillError for a store that cannot be read.
    """
    database = data / DATABASE
    if not database.is_file():
        raise BackupError(
            f"{data} is not the folder of an embedded service: there is no {DATABASE} in it."
        )
    with atomic_folder(target) as copy:
        count, size = _copy_running_service(database, data, copy)
        if (data / KEY).exists():
            shutil.copyfile(data / KEY, copy / KEY)
            (copy / KEY).chmod(0o600)
        manifest = Manifest(
            format=FORMAT,
            program=__version__,
            schema=read_schema(copy / DATABASE),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            objects=count,
            bytes=size,
            sha256={
                name: sha256_of(copy / name) for name in (DATABASE, KEY) if (copy / name).exists()
            },
        )
        (copy / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2))
    return manifest


def restore(source: Path, data: Path) -> Manifest:
    """Create the data folder ``data`` from a backup, and migrate it to this program's schema.

    Raises BackupError, TargetUnavailable, and DistillError for a backup that cannot be read.
    """
    manifest = _read_manifest(source)
    with atomic_folder(data) as copy:
        for name, sha256 in manifest.sha256.items():
            shutil.copyfile(source / name, copy / name)
            (copy / name).chmod(0o600)
            if sha256_of(copy / name) != sha256:
                raise BackupError(f"{name} in {source} is not what was saved.")
        missing = _copy_objects(source, copy)
        if missing:
            raise BackupError(
                f"{source} is incomplete: {len(missing)} objects are missing, such as {missing[0]}."
            )
        migrate(embedded_settings(copy).resolved_database_url)
    return manifest


def read_schema(database: Path) -> str:
    """Return the schema's revision."""
    with closing(_connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def _copy_running_service(database: Path, data: Path, copy: Path) -> tuple[int, int]:
    """Copy database and objects as of one moment; return the number of objects and their bytes.

    While objects are copied, jobs go on, and checkpoints that the copied database refers to may be
    replaced. Then the database is copied again; objects copied before are kept, so each round is
    shorter than the one before. If jobs are faster even so, writers have to wait during a last
    round: objects are deleted only after the commit that removes their rows.
    """
    for _ in range(COPY_ROUNDS):
        if not _copy_once(database, data, copy):
            return _remove_unreferenced(copy)
    with closing(_connect(database)) as writer_lock:
        writer_lock.execute("BEGIN IMMEDIATE")
        missing = _copy_once(database, data, copy)
    if missing:
        raise BackupError(
            f"Objects that the database refers to are missing, such as {missing[0]}; "
            "`distill storage verify` lists them all."
        )
    return _remove_unreferenced(copy)


def _copy_once(database: Path, data: Path, copy: Path) -> list[str]:
    """Copy the database and its objects; return the keys of objects that were already gone."""
    _copy_database(database, copy / DATABASE)
    return _copy_objects(data, copy)


def _copy_database(database: Path, target: Path) -> None:
    """Copy a database as of one moment, without blocking its writers."""
    target.unlink(missing_ok=True)
    with closing(_connect(database)) as source, closing(sqlite3.connect(target)) as connection:
        source.backup(connection)
    target.chmod(0o600)


def _connect(database: Path) -> sqlite3.Connection:
    """Open a database that must exist."""
    url = f"file:{quote(str(database))}?mode=rw"
    return sqlite3.connect(url, uri=True, timeout=30, isolation_level=None)


def _copy_objects(home: Path, copy: Path) -> list[str]:
    """Copy the objects that the database in ``copy`` refers to from the data folder ``home``.

    Objects copied before are skipped. Returns the keys of those that do not exist. Raises
    BackupError for one that is corrupt.
    """
    objects = Objects.from_settings(embedded_settings(home))
    missing = []
    # Checkpoints first: running jobs soon replace them.
    for file in sorted(_list_files(copy), key=lambda file: "/checkpoints/" not in file.key):
        path = copy / "objects" / file.key
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            objects.fetch(file.key, path, file.size, file.sha256)
        except CorruptObject as error:
            if objects.exists(file.key):
                raise BackupError(f"{error} The copy would be damaged, too.") from error
            missing.append(file.key)
    return missing


def _list_files(copy: Path) -> list[references.ReferencedObject]:
    """Return the objects that the database in ``copy`` refers to."""
    engine = make_engine(embedded_settings(copy).resolved_database_url)
    try:
        return list(references.list_files(engine))
    finally:
        engine.dispose()  # closing the last connection merges the write-ahead log into the file


def _remove_unreferenced(copy: Path) -> tuple[int, int]:
    """Remove objects of earlier rounds that the database in ``copy`` no longer refers to.

    Returns the number of the others and their bytes.
    """
    sizes = {file.key: file.size for file in _list_files(copy)}
    objects = copy / "objects"
    for path in objects.rglob("*"):
        if path.is_file() and path.relative_to(objects).as_posix() not in sizes:
            path.unlink()
    return len(sizes), sum(sizes.values())


def _read_manifest(source: Path) -> Manifest:
    """Raises BackupError if there is none that this program can restore."""
    try:
        manifest = Manifest(**json.loads((source / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(
            f"{source} is no complete backup: its {MANIFEST} cannot be read."
        ) from error
    if manifest.format != FORMAT or not {DATABASE} <= set(manifest.sha256) <= {DATABASE, KEY}:
        raise BackupError(f"{source} is a backup of another format than {FORMAT}.")
    if manifest.schema not in schema.known_revisions():
        raise BackupError(
            f"The backup has schema {manifest.schema}; "
            f"this program knows up to {schema.known_revisions()[0]}. "
            f"Restore it with program {manifest.program} or a newer one."
        )
    return manifest


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.backup",
        description="Back up and restore an embedded service.",
    )
    parser.add_argument("command", choices=["save", "restore"])
    parser.add_argument("backup", type=Path, help="folder of the backup")
    parser.add_argument(
        "--data", type=Path, default=Path("distill-data"), help="folder of the embedded service"
    )
    arguments = parser.parse_args()
    backup = arguments.backup.absolute()
    data = arguments.data.absolute()
    try:
        manifest = save(data, backup) if arguments.command == "save" else restore(backup, data)
    except (BackupError, DistillError, OSError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 1
    contents = (
        f"{manifest.objects} objects of {manifest.bytes} bytes, "
        f"schema {manifest.schema}, of {manifest.made_at}"
    )
    if arguments.command == "save":
        print(f"{data} is backed up in {backup}: {contents}.")
    else:
        print(f"{data} is restored from {backup}: {contents}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
