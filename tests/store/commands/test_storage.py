"""The commands ``storage gc`` and ``storage verify``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.store import jobs
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects.store import Objects
from tests.api.builders import create_finished_job


@pytest.fixture
def home(sqlite_url: str, tmp_path: Path) -> Path:
    """The folder of an embedded service with one finished job, and a deleted one."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "distill.db").rename(home / "distill.db")
    engine = make_engine(f"sqlite:///{home}/distill.db")
    objects = Objects(f"file://{home}/objects")
    create_finished_job(engine, objects)
    deleted = create_finished_job(engine, objects)
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, deleted.job_id)
    engine.dispose()
    return home


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DISTILL_RETAIN_DELETED_DAYS": "0"}
    command = (sys.executable, "-m", *command)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


def test_the_commands_collect_and_verify_a_folder(home: Path) -> None:
    data = ("--data", str(home))
    planned = run("distill_client.main", "storage", "gc", "--dry-run", *data)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.count("\n") == 1
    assert planned.stdout.startswith("job  ")
    removed = run("core.store.commands.storage", "gc", "--json", *data)
    assert [item["kind"] for item in json.loads(removed.stdout)] == ["job"]
    next((home / "objects").rglob("report.json")).write_text("{}")
    verified = run("core.store.commands.storage", "verify", *data)
    assert verified.returncode == 1
    failure, summary = verified.stdout.splitlines()
    assert failure.split()[1] == "size"
    assert summary.startswith("4 files of ")
    assert summary.endswith("; 1 missing or wrong")


def test_a_missing_database_is_named_and_not_created(tmp_path: Path) -> None:
    result = run("core.store.commands.storage", "gc", "--data", str(tmp_path / "nothing"))
    assert (result.returncode, result.stderr) == (
        2,
        f"There is no database at {tmp_path}/nothing/distill.db.\n",
    )
    assert not (tmp_path / "nothing").exists()
