"""A program works on its own schema only, and no migration is undone."""

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

OWN = schema.known_revisions()[0]
OLDER = schema.known_revisions()[1]
NEWER = "9999"
Programs = dict[str, tuple[str, ...]]
"""The Python interpreter's arguments, by the program's name."""
CELERY = (
    *("-m", "celery", "--app", "worker.app", "worker"),
    *("--pool", "threads", "--concurrency", "1"),
)
PROGRAMS: dict[str, Programs] = {
    "sqlite": {"the API": ("-m", "api"), "the worker": ("-m", "worker.polling")},
    "postgresql": {"the API": ("-m", "api"), "the Celery worker": CELERY},
}
"""By the database's dialect."""


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


def refusals(programs: Programs, home: Path, url: str) -> dict[str, tuple[int, str]]:
    """Start all programs at once; return the exit status and the last line of each."""
    processes = {name: start(command, home, url) for name, command in programs.items()}
    errors = {name: process.communicate(timeout=120)[1] for name, process in processes.items()}
    return {
        name: (process.returncode, errors[name].strip().splitlines()[-1])
        for name, process in processes.items()
    }


def test_programs_refuse_a_newer_schema_and_change_nothing(engine: Engine, tmp_path: Path) -> None:
    set_schema(engine, NEWER)
    before = contents(engine)
    url = engine.url.render_as_string(hide_password=False)
    programs = {
        **PROGRAMS[engine.dialect.name],
        "the migration": ("-m", "core.store.commands.setup"),
    }
    if engine.dialect.name == "sqlite":
        embedded = ("-m", "embedded", "--port", "0", "--data", str(tmp_path))
        programs["the embedded service"] = embedded
    sentence = (
        f"This database has schema {NEWER}; this program knows up to {OWN}. "
        "Run a program at least as new as the one that migrated it, "
        "or restore a backup made before the upgrade."
    )
    assert refusals(programs, tmp_path / "home", url) == dict.fromkeys(programs, (1, sentence))
    assert contents(engine) == before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_programs_refuse_an_older_schema_and_name_the_command(
    engine: Engine, tmp_path: Path
) -> None:
    """So they do with a database that has no schema yet."""
    set_schema(engine, OLDER)
    actual = refusals(PROGRAMS["sqlite"], tmp_path / "home", str(engine.url))
    sentence = (
        f"This database has schema {OLDER}; this program needs {OWN}. "
        "Run: python -m core.store.commands.setup"
    )
    assert actual == dict.fromkeys(PROGRAMS["sqlite"], (1, sentence))
    command_name = r"python -m core\.store\.commands\.setup"
    with pytest.raises(WrongSchema, match=rf"has no schema yet.*{command_name}"):
        require_schema(make_engine(f"sqlite:///{tmp_path}/empty.db"))


def test_no_migration_is_undone(engine: Engine) -> None:
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
    for script in ScriptDirectory.from_config(config).walk_revisions():
        with pytest.raises(WrongSchema, match=f"Schema {script.revision} cannot be taken back"):
            script.module.downgrade()


def test_a_job_is_claimed_in_the_own_schema_only(engine: Engine) -> None:
    create_job(engine)
    for other in (OLDER, NEWER):
        set_schema(engine, other)
        assert attempts.claim(engine, "worker", 30) is None
    set_schema(engine, OWN)
    assert attempts.claim(engine, "worker", 30) is not None


def test_readiness_ends_when_the_database_is_migrated(engine: Engine, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, database_url=engine.url.render_as_string(hide_password=False)
    )
    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 200
        set_schema(engine, NEWER)
        response = client.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "wrong_schema")
