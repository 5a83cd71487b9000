"""A backup is whole or not there; what is restored from it is what was saved, also of a service that went on meanwhile."""

import json
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

import migrations
from core.settings import Settings
from core.store import artifacts
from core.store.engine import make_engine, writing
from core.store.objects import Objects, checkpoint_key
from core.store.tables import DIGITS_ID
from core.store.verification import verify
from embedded.backup import known_schemas, schema_of
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
    return [it.file.key for it in found if it.wrong]


def assert_refused(done: subprocess.CompletedProcess[str], words: str, target: Path) -> None:
    """With a sentence, and nothing made."""
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists()
    assert not target.with_name(f".{target.name}.part").exists()


def test_a_running_service_is_saved_and_its_jobs_go_on_elsewhere(start: Start, tmp_path: Path) -> None:  # noqa: F811
    quick = {"DISTILL_LEASE_SECONDS": "3", "DISTILL_HEARTBEAT_SECONDS": "0.5", "DISTILL_BACKOFF_SECONDS": "0.2"}
    quick |= {"DISTILL_SWEEP_SECONDS": "0.5"}
    service = start("data", "--port", "0", **quick).ready()
    with service.client() as client:
        done = client.wait(client.submit(training_body()).id)
        assert done.status == "succeeded", done.failure
        before = {artifact.name: artifact.sha256 for artifact in client.artifacts(done.id)}
        endless = {"epochs": 10_000, "batch_size": 64, "checkpoint_seconds": 1}
        running = client.clone(done.id, {"schedule": endless})
        wait_until(lambda: any(it.kind == "checkpoint" for it in client.artifacts(running.id)), 60, "a checkpoint")
        saved = backup("backup", tmp_path / "saved", "--data", service.data, module="client.main")
        assert saved.returncode == 0, saved.stderr
        assert client.job(running.id).status == "running"
    service.end()
    assert wrong(tmp_path / "saved") == []
    restored = backup("restore", tmp_path / "saved", "--data", tmp_path / "restored", module="client.main")
    assert restored.returncode == 0, restored.stderr
    again = start("restored", "--port", "0", **quick).ready()
    with again.client() as client:  # by the key that was saved
        assert {artifact.name: artifact.sha256 for artifact in client.artifacts(done.id)} == before
        files = {path.name for path in client.download(done.id, tmp_path / "files")}  # each held against its hash
        assert files == {name for name in before if not name.startswith("checkpoint")} > {"best.safetensors", "report.json"}
        wait_until(lambda: client.job(running.id).attempt == 2 and client.job(running.id).phase == "training", 60, "training")
        (resumed,) = (event for event in events(client, running.id) if event["type"] == "resumed")
        assert resumed["data"]["step"] > 0
        client.cancel(running.id)


def events(client: object, job_id: str) -> list[dict[str, object]]:
    page = client.transport.get(f"jobs/{job_id}/events", {"limit": 200})  # type: ignore[attr-defined]
    found: list[dict[str, object]] = page.json()["data"]
    return found


def test_what_was_saved_is_restored_byte_for_byte_for_its_owner_only(data: Path, tmp_path: Path) -> None:
    saved, restored = tmp_path / "saved", tmp_path / "restored"
    left = tmp_path / ".saved.part" / "new"
    (left / "objects").mkdir(parents=True)
    (left / "half").write_text("of a backup that was killed")
    done = backup("save", saved, "--data", data)
    assert (done.returncode, "4 objects of" in done.stdout) == (0, True), done.stderr
    assert not left.parent.exists()
    assert sorted(path.name for path in saved.iterdir()) == ["admin.key", "distill.db", "manifest.json", "objects"]
    restored.mkdir()  # an empty one gives way
    assert backup("restore", saved, "--data", restored).returncode == 0
    assert wrong(saved) == wrong(restored) == []
    assert (restored / "admin.key").read_text() == "dk_secret\n"
    for folder in (saved, restored):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("admin.key", "distill.db")} == {0o600}
    files = {path.relative_to(data): path.read_bytes() for path in (data / "objects").rglob("*") if path.is_file()}
    assert {name: (restored / name).read_bytes() for name in files} == files


def test_checkpoints_that_are_replaced_meanwhile_are_followed(data: Path, tmp_path: Path) -> None:
    engine, objects = make_engine(f"sqlite:///{data}/distill.db"), Objects(f"file://{data}/objects")
    attempt = an_attempt(engine)
    begun = threading.Event()

    def checkpoint(number: int) -> None:
        name = f"checkpoint-{number}"
        key = checkpoint_key(attempt.job_id, 1, name)
        size, digest = objects.put_stream(key, [b"x" * number], 1000)
        with writing(engine) as session:
            artifacts.put(
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
    done = backup("save", tmp_path / "saved", "--data", data)
    ended.set()
    training.join()
    engine.dispose()
    assert done.returncode == 0, done.stderr
    assert wrong(tmp_path / "saved") == []
    assert len(list((tmp_path / "saved" / "objects").rglob("checkpoint-*"))) == 1


def test_a_backup_that_could_not_be_whole_is_none(data: Path, tmp_path: Path) -> None:
    saved, report = tmp_path / "saved", next((data / "objects").rglob("report.json"))
    whole = report.read_bytes()
    report.write_bytes(whole[:-1] + b"?")
    assert_refused(backup("save", saved, "--data", data), "A copy would carry the damage on", saved)
    report.unlink()
    assert_refused(backup("save", saved, "--data", data), "names are gone, such as", saved)
    assert_refused(backup("save", saved, "--data", tmp_path / "nothing"), "is not the folder of an embedded service", saved)
    report.write_bytes(whole)
    saved.mkdir()
    (saved / "mine").write_text("mine")
    assert "is not an empty folder" in backup("save", saved, "--data", data).stderr
    assert [path.name for path in saved.iterdir()] == ["mine"]


def test_a_backup_that_is_not_what_was_saved_is_not_restored(data: Path, tmp_path: Path) -> None:
    saved, restored = tmp_path / "saved", tmp_path / "restored"
    assert_refused(backup("restore", data, "--data", restored), "is no backup", restored)
    assert backup("save", saved, "--data", data).returncode == 0
    assert "is not an empty folder" in backup("restore", saved, "--data", data).stderr
    page = next((saved / "objects").rglob("report.md"))
    for damage, words in (
        (lambda: (saved / "distill.db").write_bytes((saved / "distill.db").read_bytes() + b"x"), "distill.db in"),
        (page.unlink, "is not whole: 1 objects are gone"),
    ):
        kept = {path: path.read_bytes() for path in (saved / "distill.db", page)}
        damage()
        assert_refused(backup("restore", saved, "--data", restored), words, restored)
        for path, content in kept.items():
            path.write_bytes(content)
    page.write_bytes(b"?" * len(page.read_bytes()))
    assert_refused(backup("restore", saved, "--data", restored), "has SHA-256", restored)
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps({**manifest, "schema": "9999"}))
    assert_refused(backup("restore", saved, "--data", restored), "has schema 9999; this program knows up to", restored)
    (saved / "manifest.json").write_text(json.dumps({**manifest, "sha256": {"../../canary": "0" * 64}}))
    assert_refused(backup("restore", saved, "--data", restored), "of another kind", restored)


def test_a_backup_of_an_older_schema_is_migrated_as_it_is_restored(tmp_path: Path) -> None:
    data, config = tmp_path / "data", Config()
    data.mkdir()
    config.set_main_option("script_location", next(iter(migrations.__path__)))
    engine = make_engine(f"sqlite:///{data}/distill.db")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    engine.dispose()
    assert backup("save", tmp_path / "saved", "--data", data).returncode == 0
    assert schema_of(tmp_path / "saved" / "distill.db") == "0003"
    assert backup("restore", tmp_path / "saved", "--data", tmp_path / "restored").returncode == 0
    assert schema_of(tmp_path / "restored" / "distill.db") == known_schemas()[0]
    with sqlite3.connect(tmp_path / "restored" / "distill.db") as found:
        assert found.execute("SELECT deleted_at FROM datasets WHERE id = ?", [DIGITS_ID]).fetchall() == [(None,)]
