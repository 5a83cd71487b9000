"""``python -m embedded.backup save|restore FOLDER --data DATA``: an installation as one folder, also while it runs; and back.

    manifest.json     what made it, when, its schema, and the SHA-256 of the files beside it
    distill.db        the database, which knows size and SHA-256 of every object
    admin.key
    objects/…

Both ways are the same work: a copy of a database, and of every object that its rows name, each read whole and held against its
SHA-256 on the way. The copy is a folder with another name until all of it is there.
"""

import argparse
import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from core import __version__
from core.atomic_files import sha256_of
from core.errors import CorruptObject, DistillError
from core.settings import Settings
from core.store.database import schema
from core.store.database.engine import make_engine, migrate
from core.store.objects import references
from core.store.objects.store import Objects
from embedded.atomic_folders import BackupError, atomic_folder

FORMAT = "distill-backup-1"
DATABASE, KEY, MANIFEST = "distill.db", "admin.key", "manifest.json"
ROUNDS = 3


@dataclass(frozen=True)
class Manifest:
    format: str
    program: str
    schema: str
    made_at: str
    objects: int
    bytes: int
    sha256: dict[str, str]
    """Of the files beside it, by name."""


def save(data: Path, target: Path) -> Manifest:
    """Raises Refusal, and DistillError for a store that cannot be read."""
    database = data / DATABASE
    if not database.is_file():
        raise BackupError(
            f"{data} is not the folder of an embedded service: there is no {DATABASE} in it."
        )
    with atomic_folder(target) as part:
        count, size = _follow(database, data, part)
        if (data / KEY).exists():
            shutil.copyfile(data / KEY, part / KEY)
            (part / KEY).chmod(0o600)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        hashes = {
            name: sha256_of(part / name) for name in (DATABASE, KEY) if (part / name).exists()
        }
        manifest = Manifest(
            FORMAT, __version__, read_schema(part / DATABASE), made_at, count, size, hashes
        )
        (part / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2))
    return manifest


def restore(source: Path, data: Path) -> Manifest:
    """Its schema becomes this program's. Raises Refusal, and DistillError for a backup that cannot be read."""
    manifest = _read(source)
    with atomic_folder(data) as part:
        for name, sha256 in manifest.sha256.items():
            shutil.copyfile(source / name, part / name)
            (part / name).chmod(0o600)
            if sha256_of(part / name) != sha256:
                raise BackupError(f"{name} in {source} is not what was saved.")
        missing = _fetch(source, part)
        if missing:
            raise BackupError(
                f"{source} is not whole: {len(missing)} objects are gone, such as {missing[0]}."
            )
        migrate(f"sqlite:///{part / DATABASE}")
    return manifest


def read_schema(database: Path) -> str:
    with closing(_connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def _follow(database: Path, data: Path, part: Path) -> tuple[int, int]:
    """A moment of a service that may be running: how many objects, of how many bytes.

    While objects are copied, jobs go on: checkpoints that the copied database names may be replaced. Then the database is
    copied again; whatever has been fetched stays, so each round is shorter than the one before. Where jobs are faster still,
    a last round lets everyone who would write wait: every object goes after the commit by which its row does.
    """
    for _ in range(ROUNDS):
        if not _copied(database, data, part):
            return _drop_others(part)
    with closing(_connect(database)) as writers:
        writers.execute("BEGIN IMMEDIATE")
        missing = _copied(database, data, part)
    if missing:
        raise BackupError(
            f"Objects that the database names are gone, such as {missing[0]}; `distill storage verify` names them all."
        )
    return _drop_others(part)


def _copied(database: Path, data: Path, part: Path) -> list[str]:
    """The keys of objects that were gone before they could be copied."""
    snapshot(database, part / DATABASE)
    return _fetch(data, part)


def snapshot(database: Path, copy: Path) -> None:
    """All of it at one moment; nobody who writes has to wait."""
    copy.unlink(missing_ok=True)
    with closing(_connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    copy.chmod(0o600)


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(database))}?mode=rw", uri=True, timeout=30, isolation_level=None
    )


def _fetch(home: Path, part: Path) -> list[str]:
    """The objects that the database in ``part`` names, from ``home``; the keys of those that are not there. Raises Refusal."""
    objects = Objects.from_settings(Settings(home=home, objects_url=""))
    missing = []
    # Checkpoints first: a job that goes on soon replaces them.
    for file in sorted(_named(part), key=lambda file: "/checkpoints/" not in file.key):
        path = part / "objects" / file.key
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            objects.fetch(file.key, path, file.size, file.sha256)
        except CorruptObject as error:
            if objects.exists(file.key):
                raise BackupError(f"{error} A copy would carry the damage on.") from error
            missing.append(file.key)
    return missing


def _named(part: Path) -> Iterator[references.StoredFile]:
    engine = make_engine(f"sqlite:///{part / DATABASE}")
    try:
        yield from references.list_files(engine)
    finally:
        engine.dispose()  # the last connection leaves the database in one file


def _drop_others(part: Path) -> tuple[int, int]:
    """What an earlier round fetched, and the last one does not name. The rest: how many, and their bytes."""
    sizes = {file.key: file.size for file in _named(part)}
    for path in (part / "objects").rglob("*"):
        if path.is_file() and path.relative_to(part / "objects").as_posix() not in sizes:
            path.unlink()
    return len(sizes), sum(sizes.values())


def _read(source: Path) -> Manifest:
    try:
        manifest = Manifest(**json.loads((source / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(
            f"{source} is no backup, or not all of one: its {MANIFEST} cannot be read."
        ) from error
    if manifest.format != FORMAT or not {DATABASE} <= set(manifest.sha256) <= {DATABASE, KEY}:
        raise BackupError(f"{source} is a backup of another kind than {FORMAT}.")
    if manifest.schema not in schema.known_revisions():
        raise BackupError(
            f"The backup has schema {manifest.schema}; this program knows up to {schema.known_revisions()[0]}. "
            f"Restore it with program {manifest.program} or a newer one."
        )
    return manifest


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.backup",
        description="An embedded installation, saved and restored.",
    )
    parser.add_argument("command", choices=["save", "restore"])
    parser.add_argument("backup", type=Path, help="folder of the backup")
    parser.add_argument(
        "--data", type=Path, default=Path("distill-data"), help="folder of the embedded service"
    )
    arguments = parser.parse_args()
    backup, data = arguments.backup.absolute(), arguments.data.absolute()
    try:
        manifest = save(data, backup) if arguments.command == "save" else restore(backup, data)
    except (BackupError, DistillError, OSError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 1
    what = f"{manifest.objects} objects of {manifest.bytes} bytes, schema {manifest.schema}, of {manifest.made_at}"
    print(
        f"{backup} holds {data}: {what}."
        if arguments.command == "save"
        else f"{data} is as {backup} was: {what}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
