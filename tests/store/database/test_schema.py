"""A program works on its own schema only: what it says to others, and that there is no way back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from api.app import create_app
from core.errors import WrongSchema
from core.settings import Settings
from core.store import attempts
from core.store.database import schema
from core.store.database.engine import make_engine, require_schema
from tests.builders import create_job
from tests.servers import free_port
from tests.store.database.test_upgrades import contents

OWN, OLDER = schema.known_revisions()[:2]
NEWER = "9999"
CELERY = (
    "-m",
    "celery",
    "--app",
    "worker.app",
    "worker",
    "--pool",
    "threads",
    "--concurrency",
    "1",
)
PROGRAMS = {
    "sqlite": {"the API": ("-m", "api"), "the worker": ("-m", "worker.polling")},
    "postgresql": {"the API": ("-m", "api"), "the Celery worker": CELERY},
}
"""By database."""


def set_schema(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
        )


def start(command: tuple[str, ...], home: Path, url: str) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        "DISTILL_HOME": str(home),
        "DISTILL_DATABASE_URL": url,
        "DISTILL_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
        "DISTILL_PORT": str(free_port()),
    }
    return subprocess.Popen(
        [sys.executable, *command], env=environment, stderr=subprocess.PIPE, text=True
    )


def refusals(
    programs: dict[str, tuple[str, ...]], home: Path, url: str
) -> dict[str, tuple[int, str]]:
    """Exit status and last line of each program; all are started at once."""
    running = {name: start(command, home, url) for name, command in programs.items()}
    said = {name: process.communicate(timeout=120)[1] for name, process in running.items()}
    return {
        name: (process.returncode, said[name].strip().splitlines()[-1])
        for name, process in running.items()
    }


def test_every_program_refuses_a_database_that_is_newer_and_changes_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    set_schema(engine, NEWER)
    before = contents(engine)
    url = engine.url.render_as_string(hide_password=False)
    programs = {
        **PROGRAMS[engine.dialect.name],
        "the migration": ("-m", "core.store.commands.setup"),
    }
    if engine.dialect.name == "sqlite":
        programs["the embedded service"] = (
            "-m",
            "embedded",
            "--port",
            "0",
            "--data",
            str(tmp_path),
        )
    sentence = (
        f"This database has schema {NEWER}; this program knows up to {OWN}. "
        "Run a program at least as new as the one that migrated it, or restore a backup made before the upgrade."
    )
    assert refusals(programs, tmp_path / "home", url) == dict.fromkeys(programs, (1, sentence))
    assert contents(engine) == before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_api_and_worker_refuse_a_database_that_is_older_or_empty_and_name_the_command(
    engine: Engine, tmp_path: Path
) -> None:
    set_schema(engine, OLDER)
    found = refusals(PROGRAMS["sqlite"], tmp_path / "home", str(engine.url))
    sentence = f"This database has schema {OLDER}; this program needs {OWN}. Run: python -m core.store.commands.setup"
    assert found == dict.fromkeys(PROGRAMS["sqlite"], (1, sentence))
    with pytest.raises(WrongSchema, match=r"has no schema yet.*python -m core\.store\.setup"):
        require_schema(make_engine(f"sqlite:///{tmp_path}/empty.db"))


def test_no_schema_is_taken_back(engine: Engine) -> None:
    before = contents(engine)
    config = schema.configuration()
    for target in (*schema.known_revisions()[1:], "base"):
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            with pytest.raises(
                WrongSchema, match=f"Schema {OWN} cannot be taken back; restore a backup"
            ):
                command.downgrade(config, target)
    assert contents(engine) == before
    for each in ScriptDirectory.from_config(config).walk_revisions():
        with pytest.raises(WrongSchema, match=f"Schema {each.revision} cannot be taken back"):
            each.module.downgrade()


def test_a_job_is_claimed_in_this_programs_own_schema_only(engine: Engine) -> None:
    job_id = create_job(engine).id
    for other in (OLDER, NEWER):
        set_schema(engine, other)
        assert attempts.claim(engine, job_id, "worker", 30) is None
    set_schema(engine, OWN)
    assert attempts.claim(engine, job_id, "worker", 30) is not None


def test_a_service_whose_database_was_migrated_under_it_is_not_ready(
    engine: Engine, tmp_path: Path
) -> None:
    settings = Settings(
        home=tmp_path, database_url=engine.url.render_as_string(hide_password=False)
    )
    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 200
        set_schema(engine, NEWER)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "wrong_schema")
