"""A database with the data of any released program is brought up to date, and this program goes on with it."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fastapi.testclient import TestClient
from sqlalchemy import Engine, inspect, make_url

from api.app import VERSION, create_app
from core.jobspec.resolved import parse
from core.settings import Settings
from core.store import attempts
from core.store.database import schema
from core.store.database.engine import make_engine, migrate, read_session
from core.store.database.tables import Base
from core.store.lifecycle.retry_policy import RetryPolicy
from core.store.objects.store import Objects
from distill_client import Distill
from tests.builders import distillation_body, training_body
from tests.embedded.test_service import Embedded
from tests.servers import Postgres
from tests.worker.service import get_job, wait_for
from worker.supervisor import Supervisor

RELEASED = Path(__file__).parent / "released"
RELEASES = ["0001_first", "0001_last", "0002", "0003"]
STATES = {"queued", "running", "cancelling", "cancelled", "succeeded", "failed"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Upgraded:
    """A released program's database, before and after."""

    release: str
    engine: Engine
    before: dict[str, list[Row]]

    @property
    def key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer dk_released_{self.release}"}


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'released.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    yield server.create_database("released")
    server.drop_database("released")


@pytest.fixture(params=RELEASES)
def upgraded(request: pytest.FixtureRequest, empty_url: str) -> Iterator[Upgraded]:
    release: str = request.param
    build(empty_url, release)
    engine = make_engine(empty_url)
    before = contents(engine)
    migrate(empty_url)
    yield Upgraded(release, engine, before)
    engine.dispose()


def build(url: str, release: str) -> None:
    """The database as that program left it."""
    engine = make_engine(url)
    config = schema.configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, release[:4])
    engine.dispose()
    rows = (RELEASED / f"{release}.sql").read_text()
    if url.startswith("sqlite"):
        with sqlite3.connect(str(make_url(url).database)) as database:
            database.executescript(rows)
        database.close()
    else:
        with psycopg.connect(url) as server:
            server.execute(rows.encode())


def contents(engine: Engine) -> dict[str, list[Row]]:
    """Every row of every table, by the primary key."""
    found = {}
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            rows = [
                dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}").mappings()
            ]
            keys = inspect(engine).get_pk_constraint(table)["constrained_columns"]
            found[table] = sorted(rows, key=lambda row: [row[key] for key in keys])
    return found


def names(engine: Engine) -> dict[str, Any]:
    """What every constraint and index is called, and what it is on."""
    found = inspect(engine)
    return {
        table: {
            "pk": found.get_pk_constraint(table),
            "fk": sorted(
                (key["name"], key["constrained_columns"]) for key in found.get_foreign_keys(table)
            ),
            "uq": sorted(
                (key["name"], key["column_names"]) for key in found.get_unique_constraints(table)
            ),
            "ix": sorted(
                (key["name"], key["column_names"], bool(key["unique"]))
                for key in found.get_indexes(table)
            ),
        }
        for table in found.get_table_names()
    }


def test_every_schema_but_the_present_one_has_data_to_be_upgraded() -> None:
    assert {release[:4] for release in RELEASES} == set(schema.known_revisions()[1:])


def test_an_upgrade_keeps_every_value_and_ends_with_the_schema_of_a_new_database(
    upgraded: Upgraded, request: pytest.FixtureRequest
) -> None:
    after = contents(upgraded.engine)
    for table, rows in upgraded.before.items():
        if table == "alembic_version":
            continue
        assert len(rows) == len(after[table])
        for row, now in zip(rows, after[table], strict=True):
            assert row == {column: now[column] for column in row}, table
    with upgraded.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    new = make_engine(
        request.getfixturevalue(f"{upgraded.engine.dialect.name.removesuffix('ql')}_url")
    )
    assert names(upgraded.engine) == names(new)
    new.dispose()


def test_this_program_goes_on_with_what_a_released_one_left(
    upgraded: Upgraded, tmp_path: Path
) -> None:
    jobs = upgraded.before["jobs"]
    settings = Settings(
        home=tmp_path, database_url=upgraded.engine.url.render_as_string(hide_password=False)
    )
    with TestClient(create_app(settings), headers=upgraded.key) as client:

        def get(path: str) -> Any:
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            return answer.json()

        listed = {job["id"]: job for job in get("/v1/jobs?limit=200")["data"]}
        assert listed.keys() == {job["id"] for job in jobs}
        assert {job["status"] for job in listed.values()} == STATES
        for job in jobs:
            shown = get(f"/v1/jobs/{job['id']}")
            assert (shown["name"], shown["status"], shown["attempt"]) == (
                job["name"],
                job["status"],
                job["attempt"],
            )
            assert parse(shown["spec"]).kind == job["kind"]
        student = next(job for job in listed.values() if job["name"] == "student")
        teacher = next(job for job in listed.values() if job["name"] == "teacher")
        assert student["results"]["best"]["clean"] >= 0
        assert get(f"/v1/jobs/{student['id']}/metrics")["series"]
        assert {"best.safetensors", "report.json"} <= {
            file["name"] for file in get(f"/v1/jobs/{student['id']}/artifacts")["data"]
        }
        assert {model["status"] for model in get("/v1/models")["data"]} == {
            "ready",
            "refused",
            "awaiting_upload",
        }
        assert {row["status"] for row in get("/v1/datasets")["data"]} == {
            "ready",
            "refused",
            "awaiting_upload",
        }
        for sweep in upgraded.before.get("sweeps", []):
            assert len(get(f"/v1/sweeps/{sweep['id']}/table")["lines"]) == 1
        assert "epoch" in {
            event["type"] for event in get(f"/v1/jobs/{student['id']}/events")["data"]
        }

        for reference in (teacher["id"], teacher["model_id"], "uploaded"):
            body = distillation_body(teacher=reference)
            assert client.post("/v1/jobs", json=body).status_code == 201
        assert client.post(f"/v1/jobs/{student['id']}/clone", json={"seed": 7}).status_code == 201
        keys = {key["name"]: key for key in get("/v1/keys")["data"]}
        assert (keys["reader"]["scopes"], keys["gone"]["revoked_at"] is not None) == (
            ["read"],
            True,
        )
        assert (
            client.post(
                "/v1/jobs", json=training_body(), headers={"Authorization": "Bearer dk_nobody"}
            ).status_code
            == 401
        )


def test_jobs_of_a_released_program_are_claimed_and_those_of_its_lost_workers_are_swept(
    upgraded: Upgraded,
) -> None:
    by_name = {job["name"]: job["id"] for job in upgraded.before["jobs"]}
    swept = attempts.reclaim_expired(upgraded.engine, RetryPolicy(backoff_seconds=0))
    assert set(swept) == {by_name["running"], by_name["cancelling"]}
    with read_session(upgraded.engine) as session:
        waiting = attempts.list_claimable(session)
    queued = {job["id"] for job in upgraded.before["jobs"] if job["status"] == "queued"}
    assert set(waiting) == queued | {by_name["running"]}
    for job_id in waiting:
        attempt = attempts.claim(upgraded.engine, job_id, "worker", 30)
        assert attempt is not None
        with attempt.fenced_session() as (_, job):
            assert parse(job.spec).kind == job.kind


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("upgraded", ["0001_first"], indirect=True)
def test_a_job_that_the_first_program_took_in_is_carried_out_by_this_one(
    upgraded: Upgraded, tmp_path: Path
) -> None:
    (job_id,) = (job["id"] for job in upgraded.before["jobs"] if job["name"] == "queued training")
    settings = Settings(home=tmp_path, database_url=str(upgraded.engine.url), threads=1)
    supervisor = Supervisor(
        settings, upgraded.engine, Objects.from_settings(settings), threading.Event()
    )
    assert supervisor.run()
    job = get_job(upgraded.engine, job_id)
    assert (job.status, job.failure) == ("succeeded", None)
    assert job.results is not None
    assert job.results["best"].keys() >= {"clean", "pgd"}


def test_the_embedded_service_brings_its_folder_up_to_date_by_itself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    build(f"sqlite:///{home / 'distill.db'}", "0003")
    (home / "admin.key").write_text("dk_released_0003\n")  # with the scopes that there were
    service = Embedded(home, "--port", "0")
    try:
        with Distill(service.ready().url, "dk_released_0003") as distill:
            assert {job.status for job in distill.jobs()} >= {"succeeded", "failed", "cancelled"}
            (worker,) = wait_for(lambda: list(distill.workers()), 30, "the worker's row")
            assert (worker.version, worker.alive) == (VERSION, True)
    finally:
        service.end()
