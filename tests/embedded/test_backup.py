"""A backup is complete or does not exist, and what is restored is what was saved.

Also if the service was running meanwhile.
"""

import json
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

import migrations
from core.atomic_files import TargetUnavailable, atomic_folder
from core.settings import embedded_settings
from core.store import artifacts
from core.store.database import schema
from core.store.database.engine import make_engine, transaction
from core.store.database.fence import FencedSession
from core.store.database.tables import DIGITS_ID
from core.store.objects.store import Objects, checkpoint_key
from core.store.objects.verification import verify
from distill_client import Distill
from embedded.backup import BackupError, read_schema, restore, save
from tests.api.builders import create_finished_job
from tests.builders import create_attempt, training_body
from tests.embedded.test_service import Start, start  # noqa: F401 - a fixture
from tests.servers import wait_until


@pytest.fixture
def data(sqlite_url: str, tmp_path: Path) -> Path:
    """The folder of a stopped service with one finished job."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "distill.db").rename(data / "distill.db")
    (data / "admin.key").write_text("dk_secret\n")
    engine = make_engine(f"sqlite:///{data}/distill.db")
    create_finished_job(engine, Objects(f"file://{data}/objects"))
    engine.dispose()
    return data


QUICK = {
    "DISTILL_LEASE_SECONDS": "3",
    "DISTILL_HEARTBEAT_SECONDS": "0.5",
    "DISTILL_BACKOFF_SECONDS": "0.2",
    "DISTILL_RECONCILE_SECONDS": "0.5",
    "DISTILL_SLOTS": "2",
}


def run_module(
    *arguments: object, module: str = "embedded.backup"
) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def find_damaged(folder: Path) -> list[str]:
    """Return the keys of missing or corrupt objects that the database in the folder refers to."""
    engine = make_engine(f"sqlite:///{folder}/distill.db")
    verified = list(verify(engine, Objects.from_settings(embedded_settings(folder))))
    engine.dispose()
    assert verified
    return [result.file.key for result in verified if result.problem]


def assert_refused(
    source: Path, target: Path, words: str, act: Callable[[Path, Path], object]
) -> None:
    """It fails with these words, and creates nothing."""
    with pytest.raises(BackupError, match=re.escape(words)):
        act(source, target)
    assert not target.exists()
    assert not target.with_name(f".{target.name}.part").exists()


def list_hashes(client: Distill, job_id: str) -> dict[str, str]:
    """Return the SHA-256 of each artifact by name."""
    return {artifact.name: artifact.sha256 for artifact in client.artifacts(job_id)}


def list_events(client: Distill, job_id: str) -> list[dict[str, Any]]:
    page = client.transport.get(f"jobs/{job_id}/events", {"limit": 200})
    events: list[dict[str, Any]] = page.json()["data"]
    return events


@dataclass(frozen=True)
class SavedService:
    """A service that was backed up while one job had ended and another was running."""

    ended_id: str
    running_id: str
    hashes: dict[str, str]
    """Of the ended job's artifacts, by name."""


def back_up_running_service(start: Start, target: Path) -> SavedService:  # noqa: F811
    service = start("data", "--port", "0", **QUICK).ready()
    with service.client() as client:
        short = client.submit(training_body())
        schedule = {"epochs": 10_000, "batch_size": 64, "checkpoint_seconds": 1}
        running = client.clone(short.id, {"schedule": schedule})
        ended = client.wait(short.id)
        assert ended.status == "succeeded", ended.failure
        hashes = list_hashes(client, ended.id)
        wait_until(
            lambda: any(file.kind == "checkpoint" for file in client.artifacts(running.id)),
            120,
            "a checkpoint",
        )
        backup = run_module("backup", target, "--data", service.data, module="distill_client.main")
        assert backup.returncode == 0, backup.stderr
        assert client.job(running.id).status == "running"
    service.end()
    return SavedService(ended.id, running.id, hashes)


def test_jobs_of_a_running_service_go_on_after_a_restore(
    start: Start,  # noqa: F811
    tmp_path: Path,
) -> None:
    saved = back_up_running_service(start, tmp_path / "saved")
    assert find_damaged(tmp_path / "saved") == []
    restored = run_module(
        "restore", tmp_path / "saved", "--data", tmp_path / "restored", module="distill_client.main"
    )
    assert restored.returncode == 0, restored.stderr
    service = start("restored", "--port", "0", **QUICK).ready()
    with service.client() as client:  # with the key that was saved
        assert list_hashes(client, saved.ended_id) == saved.hashes
        # The client verifies each file by its hash.
        files = {path.name for path in client.download(saved.ended_id, tmp_path / "files")}
        assert (
            files
            == {name for name in saved.hashes if not name.startswith("checkpoint")}
            > {"best.safetensors", "report.json"}
        )
        job_id = saved.running_id
        wait_until(
            lambda: client.job(job_id).attempt == 2 and client.job(job_id).phase == "training",
            120,
            "training",
        )
        (resumed,) = (event for event in list_events(client, job_id) if event["type"] == "resumed")
        assert resumed["data"]["step"] > 0
        client.cancel(job_id)


def test_what_was_saved_is_restored_byte_for_byte(data: Path, tmp_path: Path) -> None:
    """And only its owner may read it."""
    saved = tmp_path / "saved"
    restored = tmp_path / "restored"
    abandoned = tmp_path / ".saved.part" / "new"
    (abandoned / "objects").mkdir(parents=True)
    (abandoned / "half").write_text("of a backup that was killed")
    backup = run_module("save", saved, "--data", data)
    assert (backup.returncode, "4 objects of" in backup.stdout) == (0, True), backup.stderr
    assert not abandoned.parent.exists()
    assert sorted(path.name for path in saved.iterdir()) == [
        "admin.key",
        "distill.db",
        "manifest.json",
        "objects",
    ]
    restored.mkdir()  # an empty folder is replaced
    assert run_module("restore", saved, "--data", restored).returncode == 0
    assert find_damaged(saved) == find_damaged(restored) == []
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


class CheckpointWriter:
    """Replaces a job's only checkpoint again and again, in a thread of its own."""

    def __init__(self, data: Path) -> None:
        self.engine = make_engine(f"sqlite:///{data}/distill.db")
        self.objects = Objects(f"file://{data}/objects")
        self.attempt = create_attempt(self.engine)
        self.first_written = threading.Event()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        number = 1
        while not self.stop.is_set() and number < 400:
            self.replace_checkpoint(number)
            self.first_written.set()
            number += 1
            self.stop.wait(0.02)

    def replace_checkpoint(self, number: int) -> None:
        name = f"checkpoint-{number}"
        key = checkpoint_key(self.attempt.job_id, 1, name)
        size, digest = self.objects.put_stream(key, [b"x" * number], 1000)
        with transaction(self.engine, FencedSession) as session:
            artifacts.record(
                session,
                self.attempt.job_id,
                name=name,
                kind="checkpoint",
                object_key=key,
                size=size,
                sha256=digest,
                attempt=1,
                step=number,
            )
            old_keys = artifacts.prune_checkpoints(session, self.attempt.job_id, keep=1)
        for old_key in old_keys:
            self.objects.delete(old_key)

    def __enter__(self) -> "CheckpointWriter":
        self.thread.start()
        assert self.first_written.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self.engine.dispose()


def test_a_backup_follows_checkpoints_that_are_replaced(data: Path, tmp_path: Path) -> None:
    with CheckpointWriter(data):
        save(data, tmp_path / "saved")
    assert find_damaged(tmp_path / "saved") == []
    assert len(list((tmp_path / "saved" / "objects").rglob("checkpoint-*"))) == 1


def test_an_incomplete_backup_is_not_made(data: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    report = next((data / "objects").rglob("report.json"))
    content = report.read_bytes()
    report.write_bytes(content[:-1] + b"?")
    assert_refused(data, saved, "The copy would be damaged, too", save)
    report.unlink()
    assert_refused(data, saved, "refers to are missing, such as", save)
    assert_refused(tmp_path / "nothing", saved, "is not the folder of an embedded service", save)
    report.write_bytes(content)
    saved.mkdir()
    (saved / "file").write_text("of somebody else")
    refused = run_module("save", saved, "--data", data)
    assert (refused.returncode, refused.stderr) == (
        1,
        f"{saved} already exists and is not an empty folder.\n",
    )
    assert [path.name for path in saved.iterdir()] == ["file"]


def test_only_one_backup_at_a_time_writes_a_folder(data: Path, tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "saved") as part:
        with pytest.raises(TargetUnavailable, match="is being written by another process"):
            save(data, tmp_path / "saved")
        assert part.exists()
    assert (tmp_path / "saved").exists()


def test_a_damaged_backup_is_not_restored(data: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    restored = tmp_path / "restored"
    assert_refused(data, restored, "is no complete backup", restore)
    save(data, saved)
    with pytest.raises(TargetUnavailable, match="is not an empty folder"):
        restore(saved, data)
    database = saved / "distill.db"
    page = next((saved / "objects").rglob("report.md"))
    manifest = saved / "manifest.json"
    facts = json.loads(manifest.read_text())
    newer_schema = json.dumps({**facts, "schema": "9999"}).encode()
    other_files = json.dumps({**facts, "sha256": {"../../canary": "0" * 64}}).encode()
    contents = {path: path.read_bytes() for path in (database, page, manifest)}
    for path, damaged, words in (
        (database, contents[database] + b"x", "distill.db in"),
        (page, None, "is incomplete: 1 objects are missing"),
        (page, b"?" * len(contents[page]), "has SHA-256"),
        (page, contents[page] + b"?", "bytes; "),
        (manifest, newer_schema, "has schema 9999; this program knows up to"),
        (manifest, other_files, "of another format"),
        (manifest, contents[manifest][:20], "is no complete backup"),
    ):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        assert_refused(saved, restored, words, restore)
        path.write_bytes(contents[path])
    assert restore(saved, restored).objects == 4


def test_a_backup_of_an_older_schema_is_migrated_when_restored(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    config = Config()
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
    with sqlite3.connect(tmp_path / "restored" / "distill.db") as database:
        rows = database.execute(
            "SELECT deleted_at FROM datasets WHERE id = ?", [DIGITS_ID]
        ).fetchall()
    assert rows == [(None,)]
