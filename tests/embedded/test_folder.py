import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.store import keys
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT
from embedded.data_folder import DataFolder, FolderInUse


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.make()
    return folder


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    engine = make_engine(sqlite_url)
    yield engine
    engine.dispose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def count(engine: Engine) -> int:
    with read_session(engine) as session:
        return len(keys.list_keys(session, DEFAULT_PROJECT)[0])


def test_the_first_key_is_an_admins_and_its_owners_only(folder: DataFolder, engine: Engine) -> None:
    folder.ensure_key(engine)
    assert mode(folder.key) == 0o600
    assert mode(folder.path) == 0o700
    key = keys.authenticate(engine, folder.key.read_text().strip())
    assert set(key.scopes) == set(keys.SCOPES)


def test_a_key_that_works_is_kept(folder: DataFolder, engine: Engine) -> None:
    folder.ensure_key(engine)
    before = folder.key.read_text()
    folder.key.chmod(0o644)
    folder.ensure_key(engine)
    assert folder.key.read_text() == before
    assert mode(folder.key) == 0o600
    assert count(engine) == 1


def test_a_key_that_was_revoked_is_replaced(folder: DataFolder, engine: Engine) -> None:
    folder.ensure_key(engine)
    before = folder.key.read_text()
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, keys.authenticate(engine, before.strip()).id)
    folder.ensure_key(engine)
    assert folder.key.read_text() != before
    keys.authenticate(engine, folder.key.read_text().strip())


def test_a_key_of_lesser_scopes_is_replaced(folder: DataFolder, engine: Engine) -> None:
    with write_session(engine) as session:
        _, secret = keys.create(session, DEFAULT_PROJECT, "reader", ["read"])
    folder.key.write_text(secret)
    folder.ensure_key(engine)
    assert "admin" in keys.authenticate(engine, folder.key.read_text().strip()).scopes


def test_a_key_that_cannot_be_written_down_is_never_made(folder: DataFolder, engine: Engine) -> None:
    folder.key.mkdir()
    with pytest.raises(OSError, match="admin"):
        folder.ensure_key(engine)
    assert count(engine) == 0


def test_a_folder_is_held_by_one_and_let_go_at_the_end(folder: DataFolder) -> None:
    with (
        folder.locked(),
        pytest.raises(FolderInUse, match=f"process {os.getpid()}"),
        DataFolder(folder.path).locked(),
    ):
        pass
    with DataFolder(folder.path).locked():
        pass
