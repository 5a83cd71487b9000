"""Upgrades of databases that hold the data of released programs.

Every released database is migrated, and this program continues with what is in it.
"""

import copy
import json
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

from api.app import create_app
from core import __version__
from core.jobspec.resolved import parse
from core.settings import Settings
from core.store import attempts
from core.store.database import schema
from core.store.database.engine import make_engine, migrate, read_session
from core.store.database.tables import DIGITS_ID, Base
from core.store.lifecycle.retry_policy import RetryPolicy
from core.store.objects.store import Objects
from distill_client import Distill
from tests.builders import distillation_body, training_body
from tests.embedded.test_service import Embedded
from tests.servers import Postgres
from tests.worker.service import get_job, wait_for
from worker.supervisor import Supervisor

RELEASED = Path(__file__).parent / "released"
RELEASES = ["0001_first", "0001_last", "0002", "0003", "0004", "0005", "0006"]
STATES = {"queued", "running", "cancelling", "cancelled", "succeeded", "failed"}
LATER_STATES = {release: {"paused"} for release in ("0004", "0005", "0006")}
"""By release, states of jobs that only its data has."""
DOCUMENTS = {"jobs": "spec", "sweeps": "spec", "models": "description"}
"""By table, the column whose JSON has fields that migration 0005 renames."""
JSON_COLUMNS = {**{table: {column} for table, column in DOCUMENTS.items()}, "events": {"data"}}
JSON_COLUMNS["jobs"] |= {"results"}
"""By table, the columns whose JSON migrations change."""
RENAMED_FIELDS = [
    (("student",), "normalisation", "normalization"),
    (("base", "student"), "normalisation", "normalization"),
    (("network",), "normalisation", "normalization"),
    (("description", "network"), "normalisation", "normalization"),
    (("method", "covariance", "heads"), "normalise", "normalize"),
    (("axes",), "student.normalisation", "student.normalization"),
]
"""Path of an object in such a column, the former name of its field, the current one."""

Row = dict[str, Any]

KEYS = {
    "pgd": "pgd-2@linf:0.15",
    "held_out_robust": "held_out_pgd-10@linf:0.15",
    "ece_adversarial": "ece_adversarial@linf:0.15",
    "variance_gap_features": "variance_gap_features@linf:0.15",
    "variance_gap_gram": "variance_gap_gram@linf:0.15",
}
"""Key of each result that migration 0006 renames, in the jobs that every release has."""
KEYS_OF_JOBS = {
    "evaluated model": {
        "pgd": "pgd-2@linf:0.1",
        "held_out_robust": "held_out_pgd-10@linf:0.1",
    },
    "unlike radii and all analyses": {
        "pgd": "pgd-20@linf:16/255",
        "pgd_2": "pgd-20@linf:24/255",
        "cw": "cw-30@linf:16/255",
        "variance_gap_features": "variance_gap_features@linf:16/255",
        "variance_gap_gram": "variance_gap_gram@linf:16/255",
        "effective_rank_features": "effective_rank_features@linf:16/255",
        "effective_rank_gram": "effective_rank_gram@linf:16/255",
        "grad_cam_shift": "grad_cam_shift@linf:16/255",
        "ece_adversarial": "ece_adversarial@linf:16/255",
        "transfer": "transfer@linf:16/255",
        "masking_square_drop": "masking_square_drop@linf:16/255",
        "masking_large_radius": "masking_large_radius@linf:0.5",
    },
    "equal attacks and unusual settings": {
        "pgd": "pgd-5@linf:0.15",
        "pgd_2": "pgd-5@linf:0.15#2",
        "pgd_3": "pgd-5:restarts=3@linf:0.15",
        "pgd_4": "pgd-5:step=2/255@linf:0.15",
        "cw": "cw-5@linf:0.031",
        "cw_2": "cw-5:confidence=0.5@linf:0.031",
        "pgd_5": "pgd-5@linf:0.15#3",
    },
    "autoattack in two norms": {
        "autoattack": "autoattack:queries=10:iterations=2@linf:0.15",
        "autoattack_2": "autoattack:queries=10:iterations=2@l2:0.5",
        "autoattack_3": "autoattack:stages=apgd-ce:iterations=2@l2:0.5",
        "autoattack_4": "autoattack@linf:0.15",
    },
}
"""The same of jobs that only the last release has, by the job's name."""


@dataclass(frozen=True)
class Upgraded:
    """A released program's database after its migration, with its rows before."""

    release: str
    engine: Engine
    before: dict[str, list[Row]]

    @property
    def key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer dk_released_{self.release}"}


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'released.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    yield server.create_database("released")
    server.drop_database("released")


@pytest.fixture(params=RELEASES)
def upgraded(request: pytest.FixtureRequest, empty_url: str) -> Iterator[Upgraded]:
    """Each released database, migrated."""
    release: str = request.param
    build(empty_url, release)
    engine = make_engine(empty_url)
    before = contents(engine)
    migrate(empty_url)
    yield Upgraded(release, engine, before)
    engine.dispose()


def build(url: str, release: str) -> None:
    """Create the database as that program left it."""
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
    """Return every row of every table, sorted by primary key."""
    tables = {}
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            rows = [
                dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}").mappings()
            ]
            keys = inspect(engine).get_pk_constraint(table)["constrained_columns"]
            tables[table] = sorted(rows, key=lambda row: [row[key] for key in keys])
    return tables


def constraint_names(engine: Engine) -> dict[str, Any]:
    """Return the name and the columns of every constraint and index, by table."""
    inspector = inspect(engine)
    return {
        table: {
            "pk": inspector.get_pk_constraint(table),
            "fk": sorted(
                (key["name"], key["constrained_columns"])
                for key in inspector.get_foreign_keys(table)
            ),
            "uq": sorted(
                (key["name"], key["column_names"])
                for key in inspector.get_unique_constraints(table)
            ),
            "ix": sorted(
                (key["name"], key["column_names"], bool(key["unique"]))
                for key in inspector.get_indexes(table)
            ),
        }
        for table in inspector.get_table_names()
    }


def with_parsed_json(table: str, row: Row) -> Row:
    """Return the row with its documents parsed: from SQLite they come as text."""
    texts = {
        column: row[column]
        for column in JSON_COLUMNS.get(table, set())
        if isinstance(row[column], str)
    }
    return {**row, **{column: json.loads(text) for column, text in texts.items()}}


def with_current_names(table: str, row: Row, keys: dict[str, str]) -> Row:
    """Return the row that migrations 0005 and 0006 make of a released one.

    ``keys``: of the results of its job, by their former names.
    """
    row = with_current_results(table, with_parsed_json(table, row), keys)
    if table not in DOCUMENTS:
        return row
    document = copy.deepcopy(row[DOCUMENTS[table]])
    sweep_rows = document.get("rows", []) if table == "sweeps" else []
    for part in [document, *(sweep_row["changes"] for sweep_row in sweep_rows)]:
        for path, former, current in RENAMED_FIELDS:
            parent = part
            for step in path:
                parent = parent.get(step, {})
            if former in parent:
                parent[current] = parent.pop(former)
    migrated = {**row, DOCUMENTS[table]: document}
    if table == "jobs" and migrated != row:
        migrated["version"] += 1  # its response is another one, and so is its ETag
    return migrated


def with_current_results(table: str, row: Row, keys: dict[str, str]) -> Row:
    if table == "jobs" and row["results"] is not None:
        results = {
            network: {keys.get(name, name): value for name, value in numbers.items()}
            for network, numbers in row["results"].items()
        }
        if results == row["results"]:
            return row
        return {**row, "results": results, "version": row["version"] + 1}
    if table == "events" and row["type"] == "measured":
        name = row["data"]["name"]
        return {**row, "data": {**row["data"], "name": keys.get(name, name)}}
    return row


def test_every_earlier_schema_has_released_data() -> None:
    assert {release[:4] for release in RELEASES} == set(schema.known_revisions()[1:])


def test_an_upgrade_keeps_values_and_ends_with_the_new_schema(
    upgraded: Upgraded, request: pytest.FixtureRequest
) -> None:
    """Every value stays, and the schema is that of a newly created database."""
    after = contents(upgraded.engine)
    names = {job["id"]: job["name"] for job in upgraded.before["jobs"]}
    for table, rows in upgraded.before.items():
        if table == "alembic_version":
            continue
        assert len(rows) == len(after[table])
        for row, migrated in zip(rows, after[table], strict=True):
            same_columns = {column: migrated[column] for column in row}
            if row.get("id") == DIGITS_ID and "report" in row:
                same_columns["report"] = row["report"]  # since 0007 it has one
            job_name = names.get(row["id"] if table == "jobs" else row.get("job_id"))
            expected = with_current_names(table, row, KEYS_OF_JOBS.get(job_name or "", KEYS))
            assert expected == with_parsed_json(table, same_columns), table
    with upgraded.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    new = make_engine(
        request.getfixturevalue(f"{upgraded.engine.dialect.name.removesuffix('ql')}_url")
    )
    assert constraint_names(upgraded.engine) == constraint_names(new)
    new.dispose()


def test_earlier_attempts_are_recorded(upgraded: Upgraded) -> None:
    """As far as the status events tell of them."""
    records = contents(upgraded.engine)["attempts"]
    ends = {(record["job_id"], record["number"]): record["outcome"] for record in records}
    jobs = upgraded.before["jobs"]
    assert {job_id for job_id, _ in ends} == {job["id"] for job in jobs if job["attempt"]}
    for job in jobs:
        numbers = [number for job_id, number in ends if job_id == job["id"]]
        assert numbers == list(range(1, job["attempt"] + 1))
        if job["status"] in {"succeeded", "failed"}:
            assert ends[job["id"], job["attempt"]] == job["status"]
        if job["status"] in {"running", "pausing", "cancelling"}:
            assert ends[job["id"], job["attempt"]] is None
    for record in records:
        assert (record["ended_at"] is None) == (record["outcome"] is None)
        assert record["ended_at"] is None or record["ended_at"] >= record["started_at"]


@pytest.fixture
def client(upgraded: Upgraded, tmp_path: Path) -> Iterator[TestClient]:
    """This program's API on a migrated database, called with the released key."""
    settings = Settings(
        home=tmp_path, database_url=upgraded.engine.url.render_as_string(hide_password=False)
    )
    with TestClient(create_app(settings), headers=upgraded.key) as client:
        yield client


def get(client: TestClient, path: str) -> Any:
    response = client.get(path)
    assert response.status_code == 200, (path, response.text)
    return response.json()


def assert_jobs_are_shown(client: TestClient, upgraded: Upgraded) -> dict[str, Any]:
    """Check every job's page and the list; return the listed jobs by name."""
    jobs = upgraded.before["jobs"]
    listed = get(client, "/v1/jobs?limit=200")["data"]
    assert {job["id"] for job in listed} == {job["id"] for job in jobs}
    states = STATES | LATER_STATES.get(upgraded.release, set())
    assert {job["status"] for job in listed} == states
    for job in jobs:
        page = get(client, f"/v1/jobs/{job['id']}")
        assert (page["name"], page["status"], page["attempt"]) == (
            job["name"],
            job["status"],
            job["attempt"],
        )
        assert parse(page["spec"]).kind == job["kind"]
    return {job["name"]: job for job in listed}


def assert_results_are_shown(client: TestClient, student: dict[str, Any]) -> None:
    assert student["results"]["best"]["clean"] >= 0
    assert get(client, f"/v1/jobs/{student['id']}/metrics")["series"]
    artifacts = get(client, f"/v1/jobs/{student['id']}/artifacts")["data"]
    assert {"best.safetensors", "report.json"} <= {artifact["name"] for artifact in artifacts}
    events = get(client, f"/v1/jobs/{student['id']}/events")["data"]
    assert "epoch" in {event["type"] for event in events}


def test_the_api_shows_and_uses_released_data(client: TestClient, upgraded: Upgraded) -> None:
    listed = assert_jobs_are_shown(client, upgraded)
    student = listed["student"]
    teacher = listed["teacher"]
    assert_results_are_shown(client, student)
    for kind in ("models", "datasets"):
        assert {item["status"] for item in get(client, f"/v1/{kind}")["data"]} == {
            "ready",
            "refused",
            "awaiting_upload",
        }
    for sweep in upgraded.before.get("sweeps", []):
        assert len(get(client, f"/v1/sweeps/{sweep['id']}/table")["lines"]) == 1

    for reference in (teacher["id"], teacher["model_id"], "uploaded"):
        body = distillation_body(teacher=reference)
        assert client.post("/v1/jobs", json=body).status_code == 201
    clone = client.post(f"/v1/jobs/{student['id']}/clone", json={"seed": 7})
    assert clone.status_code == 201
    keys = {key["name"]: key for key in get(client, "/v1/keys")["data"]}
    assert keys["reader"]["scopes"] == ["read"]
    assert keys["gone"]["revoked_at"] is not None
    unknown_key = {"Authorization": "Bearer dk_nobody"}
    response = client.post("/v1/jobs", json=training_body(), headers=unknown_key)
    assert response.status_code == 401


def test_released_models_get_versions_and_lineage(client: TestClient, upgraded: Upgraded) -> None:
    """A student's series is named after its job, an upload's after itself."""
    jobs = {job["id"]: job for job in upgraded.before["jobs"]}
    for model in get(client, "/v1/models?limit=200")["data"]:
        job = jobs.get(model["source_job_id"])
        series = model["name"] if job is None else job["name"].replace(" ", "-")
        assert model["series"] == series
        assert (model["series_version"] is not None) == (model["status"] == "ready")
        if job is None or job["teacher_id"] is None:
            continue
        assert get(client, f"/v1/models/{series}@{model['series_version']}") == model
        lineage = get(client, f"/v1/models/{model['id']}/lineage")
        edges = {(edge["source"], edge["role"], edge["target"]) for edge in lineage["edges"]}
        assert (job["teacher_id"], "teacher", job["id"]) in edges
        assert (job["id"], "student", model["id"]) in edges


@pytest.mark.parametrize("upgraded", ["0005"], indirect=True)
def test_every_former_result_gets_its_key(upgraded: Upgraded) -> None:
    """Every name that a result could have is in the data, and each value is under its new key."""
    before = {job["name"]: job for job in upgraded.before["jobs"]}
    after = {job["name"]: job for job in contents(upgraded.engine)["jobs"]}
    for name, keys in KEYS_OF_JOBS.items():
        former = with_parsed_json("jobs", before[name])["results"]
        current = with_parsed_json("jobs", after[name])["results"]
        assert current.keys() == former.keys()
        for network, numbers in former.items():
            assert keys.keys() <= numbers.keys()
            unchanged = numbers.keys() - keys.keys()
            assert unchanged <= {"clean", "ece", "held_out_clean", "training_seconds_per_epoch"}
            assert current[network] == {
                **{name: numbers[name] for name in unchanged},
                **{key: numbers[name] for name, key in keys.items()},
            }
        assert after[name]["version"] == before[name]["version"] + 1


@pytest.mark.parametrize("upgraded", ["0005"], indirect=True)
def test_the_api_says_what_released_results_mean(client: TestClient, upgraded: Upgraded) -> None:
    (job_id,) = (
        job["id"] for job in upgraded.before["jobs"] if job["name"] == "autoattack in two norms"
    )
    measures = get(client, f"/v1/jobs/{job_id}")["measures"]
    assert {key: measure["title"] for key, measure in measures.items()} == {
        "clean": "Clean",
        "autoattack:queries=10:iterations=2@linf:0.15": (
            "AutoAttack (queries 10, iterations 2), L∞, 0.15"
        ),
        "autoattack:queries=10:iterations=2@l2:0.5": (
            "AutoAttack (queries 10, iterations 2), L2, 0.5"
        ),
        "autoattack:stages=apgd-ce:iterations=2@l2:0.5": (
            "AutoAttack (stages apgd-ce, iterations 2), L2, 0.5"
        ),
        "autoattack@linf:0.15": "AutoAttack, L∞, 0.15",
    }


def test_released_jobs_are_claimed_and_expired_ones_reclaimed(upgraded: Upgraded) -> None:
    ids_by_name = {job["name"]: job["id"] for job in upgraded.before["jobs"]}
    reclaimed = attempts.reclaim_expired(upgraded.engine, RetryPolicy(backoff_seconds=0))
    assert set(reclaimed) == {ids_by_name["running"], ids_by_name["cancelling"]}
    with read_session(upgraded.engine) as session:
        claimable = attempts.list_claimable(session)
    queued = {job["id"] for job in upgraded.before["jobs"] if job["status"] == "queued"}
    assert set(claimable) == queued | {ids_by_name["running"]}
    for job_id in claimable:
        attempt = attempts.claim(upgraded.engine, "worker", 30)
        assert attempt is not None
        assert attempt.job_id == job_id
        with attempt.fenced_session() as (_, job):
            assert parse(job.spec).kind == job.kind


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("upgraded", ["0001_first"], indirect=True)
def test_a_job_of_the_first_release_is_run(upgraded: Upgraded, tmp_path: Path) -> None:
    (job_id,) = (job["id"] for job in upgraded.before["jobs"] if job["name"] == "queued training")
    settings = Settings(home=tmp_path, database_url=str(upgraded.engine.url), threads=1)
    supervisor = Supervisor(
        settings, upgraded.engine, Objects.from_settings(settings), threading.Event()
    )
    assert supervisor.run()
    job = get_job(upgraded.engine, job_id)
    assert (job.status, job.failure) == ("succeeded", None)
    assert job.results is not None
    assert job.results["best"].keys() >= {"clean", "pgd-2@linf:0.15"}


def test_the_embedded_service_migrates_its_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    build(f"sqlite:///{home / 'distill.db'}", "0003")
    (home / "admin.key").write_text("dk_released_0003\n")  # its key has that release's scopes
    service = Embedded(home, "--port", "0")
    try:
        with Distill(service.ready().url, "dk_released_0003") as distill:
            assert {job.status for job in distill.jobs()} >= {"succeeded", "failed", "cancelled"}
            (worker,) = wait_for(lambda: list(distill.workers()), 30, "the worker's row")
            assert (worker.version, worker.alive) == (__version__, True)
    finally:
        service.end()
