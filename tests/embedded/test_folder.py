"""The data folder of the embedded service: its admin key and its lock."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.store.access import keys
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT
from embedded.data_folder import DataFolder, FolderInUse


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.create()
    return folder


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    engine = make_engine(sqlite_url)
    yield engine
    engine.dispose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def count_keys(engine: Engine) -> int:
    with read_session(engine) as session:
        return len(keys.list_keys(session, DEFAULT_PROJECT)[0])


def test_the_first_key_has_every_scope_and_is_its_owners_only(
    folder: DataFolder, engine: Engine
) -> None:
    folder.ensure_key(engine)
    assert mode(folder.key_file) == 0o600
    assert mode(folder.path) == 0o700
    key = keys.authenticate(engine, folder.key_file.read_text().strip())
    assert set(key.scopes) == set(keys.SCOPES)


def test_a_valid_key_is_kept(folder: DataFolder, engine: Engine) -> None:
    folder.ensure_key(engine)
    before = folder.key_file.read_text()
    folder.key_file.chmod(0o644)
    folder.ensure_key(engine)
    assert folder.key_file.read_text() == before
    assert mode(folder.key_file) == 0o600
    assert count_keys(engine) == 1


def test_a_revoked_key_is_replaced(folder: DataFolder, engine: Engine) -> None:
    folder.ensure_key(engine)
    before = folder.key_file.read_text()
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, keys.authenticate(engine, before.strip()).id)
    folder.ensure_key(engine)
    assert folder.key_file.read_text() != before
    keys.authenticate(engine, folder.key_file.read_text().strip())


def test_a_key_without_the_admin_scope_is_replaced(folder: DataFolder, engine: Engine) -> None:
    with write_session(engine) as session:
        _, secret = keys.create(session, DEFAULT_PROJECT, "reader", ["read"])
    folder.key_file.write_text(secret)
    folder.ensure_key(engine)
    assert "admin" in keys.authenticate(engine, folder.key_file.read_text().strip()).scopes


def test_no_key_is_created_that_cannot_be_saved(folder: DataFolder, engine: Engine) -> None:
    folder.key_file.mkdir()
    with pytest.raises(OSError, match="admin"):
        folder.ensure_key(engine)
    assert count_keys(engine) == 0


def test_a_folder_is_locked_by_one_service_at_a_time(folder: DataFolder) -> None:
    with (
        folder.locked(),
        pytest.raises(FolderInUse, match=f"process {os.getpid()}"),
        DataFolder(folder.path).locked(),
    ):
        pass
    with DataFolder(folder.path).locked():
        pass
