"""A backup is whole or not there; what is restored from it is what was saved, also of a service that went on meanwhile."""

import json
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

import migrations
from core.settings import Settings
from core.store import artifacts
from core.store.database import schema
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DIGITS_ID
from core.store.objects.store import Objects, checkpoint_key
from core.store.objects.verification import verify
from embedded.atomic_folders import BackupError, atomic_folder
from embedded.backup import restore, save, read_schema
from tests.api.builders import a_finished_job
from tests.builders import an_attempt, training_body
from tests.embedded.test_service import Start, start  # noqa: F401 - a fixture
from tests.servers import wait_until


@pytest.fixture
def data(sqlite_url: str, tmp_path: Path) -> Path:
    """The folder of a service that does not run, with one finished job."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "distill.db").rename(data / "distill.db")
    (data / "admin.key").write_text("dk_secret\n")
    engine = make_engine(f"sqlite:///{data}/distill.db")
    a_finished_job(engine, Objects(f"file://{data}/objects"))
    engine.dispose()
    return data


def backup(*arguments: object, module: str = "embedded.backup") -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def wrong(folder: Path) -> list[str]:
    """Objects that the database in the folder names, and that are not there or not right."""
    engine = make_engine(f"sqlite:///{folder}/distill.db")
    found = list(verify(engine, Objects.from_settings(Settings(home=folder))))
    engine.dispose()
    assert found
    return [it.file.key for it in found if it.problem]


def assert_refused(
    source: Path, target: Path, words: str, act: Callable[[Path, Path], object]
) -> None:
    """With a sentence, and nothing made."""
    with pytest.raises(BackupError, match=re.escape(words)):
        act(source, target)
    assert not target.exists()
    assert not target.with_name(f".{target.name}.part").exists()


def test_a_running_service_is_saved_and_its_jobs_go_on_elsewhere(
    start: Start,  # noqa: F811
    tmp_path: Path,
) -> None:
    quick = {
        "DISTILL_LEASE_SECONDS": "3",
        "DISTILL_HEARTBEAT_SECONDS": "0.5",
        "DISTILL_BACKOFF_SECONDS": "0.2",
    }
    quick |= {"DISTILL_SWEEP_SECONDS": "0.5", "DISTILL_SLOTS": "2"}
    service = start("data", "--port", "0", **quick).ready()
    with service.client() as client:
        short = client.submit(training_body())
        running = client.clone(
            short.id, {"schedule": {"epochs": 10_000, "batch_size": 64, "checkpoint_seconds": 1}}
        )
        done = client.wait(short.id)
        assert done.status == "succeeded", done.failure
        before = {artifact.name: artifact.sha256 for artifact in client.artifacts(done.id)}
        wait_until(
            lambda: any(it.kind == "checkpoint" for it in client.artifacts(running.id)),
            120,
            "a checkpoint",
        )
        saved = backup("backup", tmp_path / "saved", "--data", service.data, module="distill_client.main")
        assert saved.returncode == 0, saved.stderr
        assert client.job(running.id).status == "running"
    service.end()
    assert wrong(tmp_path / "saved") == []
    restored = backup(
        "restore", tmp_path / "saved", "--data", tmp_path / "restored", module="distill_client.main"
    )
    assert restored.returncode == 0, restored.stderr
    again = start("restored", "--port", "0", **quick).ready()
    with again.client() as client:  # by the key that was saved
        assert {artifact.name: artifact.sha256 for artifact in client.artifacts(done.id)} == before
        files = {
            path.name for path in client.download(done.id, tmp_path / "files")
        }  # each held against its hash
        assert (
            files
            == {name for name in before if not name.startswith("checkpoint")}
            > {"best.safetensors", "report.json"}
        )
        wait_until(
            lambda: (
                client.job(running.id).attempt == 2 and client.job(running.id).phase == "training"
            ),
            120,
            "training",
        )
        (resumed,) = (event for event in events(client, running.id) if event["type"] == "resumed")
        assert resumed["data"]["step"] > 0
        client.cancel(running.id)


def events(client: object, job_id: str) -> list[dict[str, object]]:
    page = client.transport.get(f"jobs/{job_id}/events", {"limit": 200})  # type: ignore[attr-defined]
    found: list[dict[str, object]] = page.json()["data"]
    return found


def test_what_was_saved_is_restored_byte_for_byte_for_its_owner_only(
    data: Path, tmp_path: Path
) -> None:
    saved, restored = tmp_path / "saved", tmp_path / "restored"
    left = tmp_path / ".saved.part" / "new"
    (left / "objects").mkdir(parents=True)
    (left / "half").write_text("of a backup that was killed")
    done = backup("save", saved, "--data", data)
    assert (done.returncode, "4 objects of" in done.stdout) == (0, True), done.stderr
    assert not left.parent.exists()
    assert sorted(path.name for path in saved.iterdir()) == [
        "admin.key",
        "distill.db",
        "manifest.json",
        "objects",
    ]
    restored.mkdir()  # an empty one gives way
    assert backup("restore", saved, "--data", restored).returncode == 0
    assert wrong(saved) == wrong(restored) == []
    assert (restored / "admin.key").read_text() == "dk_secret\n"
    for folder in (saved, restored):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {
            stat.S_IMODE((folder / name).stat().st_mode) for name in ("admin.key", "distill.db")
        } == {0o600}
    files = {
        path.relative_to(data): path.read_bytes()
        for path in (data / "objects").rglob("*")
        if path.is_file()
    }
    assert {name: (restored / name).read_bytes() for name in files} == files


def test_checkpoints_that_are_replaced_meanwhile_are_followed(data: Path, tmp_path: Path) -> None:
    engine, objects = make_engine(f"sqlite:///{data}/distill.db"), Objects(f"file://{data}/objects")
    attempt = an_attempt(engine)
    begun = threading.Event()

    def checkpoint(number: int) -> None:
        name = f"checkpoint-{number}"
        key = checkpoint_key(attempt.job_id, 1, name)
        size, digest = objects.put_stream(key, [b"x" * number], 1000)
        with write_session(engine) as session:
            artifacts.record(
                session,
                attempt.job_id,
                name=name,
                kind="checkpoint",
                object_key=key,
                size=size,
                sha256=digest,
                attempt=1,
                step=number,
            )
            old = artifacts.prune_checkpoints(session, attempt.job_id, keep=1)
        for stale in old:
            objects.delete(stale)

    def go_on() -> None:
        number = 1
        while not ended.is_set() and number < 400:
            checkpoint(number)
            begun.set()
            number += 1
            ended.wait(0.02)

    ended = threading.Event()
    training = threading.Thread(target=go_on)
    training.start()
    assert begun.wait(30)
    try:
        save(data, tmp_path / "saved")
    finally:
        ended.set()
        training.join()
        engine.dispose()
    assert wrong(tmp_path / "saved") == []
    assert len(list((tmp_path / "saved" / "objects").rglob("checkpoint-*"))) == 1


def test_a_backup_that_could_not_be_whole_is_none(data: Path, tmp_path: Path) -> None:
    saved, report = tmp_path / "saved", next((data / "objects").rglob("report.json"))
    content = report.read_bytes()
    report.write_bytes(content[:-1] + b"?")
    assert_refused(data, saved, "A copy would carry the damage on", save)
    report.unlink()
    assert_refused(data, saved, "names are gone, such as", save)
    assert_refused(tmp_path / "nothing", saved, "is not the folder of an embedded service", save)
    report.write_bytes(content)
    saved.mkdir()
    (saved / "mine").write_text("mine")
    refused = backup("save", saved, "--data", data)
    assert (refused.returncode, refused.stderr) == (
        1,
        f"{saved} is there already, and is not an empty folder.\n",
    )
    assert [path.name for path in saved.iterdir()] == ["mine"]


def test_two_backups_to_one_folder_at_once_are_one(data: Path, tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "saved") as part:
        with pytest.raises(BackupError, match="is being written by another process"):
            save(data, tmp_path / "saved")
        assert part.exists()
    assert (tmp_path / "saved").exists()


def test_a_backup_that_is_not_what_was_saved_is_not_restored(data: Path, tmp_path: Path) -> None:
    saved, restored = tmp_path / "saved", tmp_path / "restored"
    assert_refused(data, restored, "is no backup", restore)
    save(data, saved)
    with pytest.raises(BackupError, match="is not an empty folder"):
        restore(saved, data)
    database, page, manifest = (
        saved / "distill.db",
        next((saved / "objects").rglob("report.md")),
        saved / "manifest.json",
    )
    facts = json.loads(manifest.read_text())
    kept = {path: path.read_bytes() for path in (database, page, manifest)}
    for path, damaged, words in (
        (database, kept[database] + b"x", "distill.db in"),
        (page, None, "is not whole: 1 objects are gone"),
        (page, b"?" * len(kept[page]), "has SHA-256"),
        (page, kept[page] + b"?", "bytes; "),
        (
            manifest,
            json.dumps({**facts, "schema": "9999"}).encode(),
            "has schema 9999; this program knows up to",
        ),
        (
            manifest,
            json.dumps({**facts, "sha256": {"../../canary": "0" * 64}}).encode(),
            "of another kind",
        ),
        (manifest, kept[manifest][:20], "is no backup, or not all of one"),
    ):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        assert_refused(saved, restored, words, restore)
        path.write_bytes(kept[path])
    assert restore(saved, restored).objects == 4


def test_a_backup_of_an_older_schema_is_migrated_as_it_is_restored(tmp_path: Path) -> None:
    data, config = tmp_path / "data", Config()
    data.mkdir()
    config.set_main_option("script_location", next(iter(migrations.__path__)))
    engine = make_engine(f"sqlite:///{data}/distill.db")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    engine.dispose()
    assert save(data, tmp_path / "saved").schema == "0003"
    assert read_schema(tmp_path / "saved" / "distill.db") == "0003"
    restore(tmp_path / "saved", tmp_path / "restored")
    assert read_schema(tmp_path / "restored" / "distill.db") == schema.known_revisions()[0]
    with sqlite3.connect(tmp_path / "restored" / "distill.db") as found:
        assert found.execute(
            "SELECT deleted_at FROM datasets WHERE id = ?", [DIGITS_ID]
        ).fetchall() == [(None,)]
