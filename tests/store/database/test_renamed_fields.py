"""Migration 0005 renames two fields wherever a spec may hold them, and nothing else."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from core.jobspec.resolved import parse
from core.store.database.engine import make_engine, migrate
from tests.store.database.test_upgrades import build, empty_url

__all__ = ["empty_url"]

FORMER = {"architecture": "small_cnn", "width": 4, "normalisation": "none"}
PRESENT = {"architecture": "small_cnn", "width": 4, "normalization": "none"}
LABELS = {"normalisation": "by hand", "normalise": "no"}
SWEEP = {
    "name": "normalisation",
    "metadata": LABELS,
    "base": {"student": FORMER, "metadata": LABELS, "data": {"dataset": "normalisation"}},
    "rows": [
        {
            "name": "normalise",
            "changes": {"method": {"covariance": {"heads": {"normalise": False}}}},
        }
    ],
    "axes": {
        "student": [FORMER, "resnet18"],
        "student.normalisation": ["none"],
        "method.covariance.heads.normalise": [True, False],
        "metadata.normalisation": ["kept"],
    },
}
PRESENT_SWEEP = {
    "name": "normalisation",
    "metadata": LABELS,
    "base": {"student": PRESENT, "metadata": LABELS, "data": {"dataset": "normalisation"}},
    "rows": [
        {
            "name": "normalise",
            "changes": {"method": {"covariance": {"heads": {"normalize": False}}}},
        }
    ],
    "axes": {
        "student": [PRESENT, "resnet18"],
        "student.normalization": ["none"],
        "method.covariance.heads.normalize": [True, False],
        "metadata.normalisation": ["kept"],
    },
}


@pytest.fixture
def database(empty_url: str) -> Engine:
    build(empty_url, "0004")
    return make_engine(empty_url)


def read(engine: Engine, statement: str) -> Any:
    with engine.connect() as connection:
        value = connection.execute(text(statement)).scalar_one()
    return json.loads(value) if isinstance(value, str) else value


def write(engine: Engine, statement: str, document: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), {"document": json.dumps(document)})


def test_sweep_is_renamed_in_base_rows_and_axes(database: Engine, empty_url: str) -> None:
    column = "CAST(:document AS JSON)" if database.dialect.name == "postgresql" else ":document"
    write(database, f"UPDATE sweeps SET spec = {column}", SWEEP)
    migrate(empty_url)
    assert read(database, "SELECT spec FROM sweeps") == PRESENT_SWEEP


def test_rows_of_several_batches_are_renamed(database: Engine, empty_url: str) -> None:
    column = "CAST(:document AS JSON)" if database.dialect.name == "postgresql" else ":document"
    rows = [{"id": f"swp_{number:05}", "document": json.dumps(SWEEP)} for number in range(1200)]
    insert = "INSERT INTO sweeps (id, project_id, spec, size, created_at) "
    with database.begin() as connection:
        connection.execute(text(f"{insert} VALUES (:id, 'prj_default', {column}, 1, 0)"), rows)
    migrate(empty_url)
    with database.connect() as connection:
        specs = connection.execute(text("SELECT spec FROM sweeps WHERE size = 1")).scalars().all()
    documents = [json.loads(spec) if isinstance(spec, str) else spec for spec in specs]
    assert sum(document == PRESENT_SWEEP for document in documents) == len(rows)


def test_labels_of_a_job_keep_their_names(database: Engine, empty_url: str) -> None:
    statement = "SELECT spec FROM jobs WHERE name = 'queued starship'"
    version = "SELECT version FROM jobs WHERE name = 'queued starship'"
    before = read(database, statement)
    version_before = read(database, version)
    migrate(empty_url)
    after = read(database, statement)
    assert read(database, version) == version_before + 1, "its ETag is another"
    assert before["metadata"] == after["metadata"] == {"normalisation": "by hand"}
    assert after["method"]["covariance"]["heads"]["normalize"] is False
    assert "normalise" not in after["method"]["covariance"]["heads"]


def test_variance_gap_without_radii_gets_its_default(database: Engine, empty_url: str) -> None:
    where = "WHERE kind = 'evaluation'"
    spec = read(database, f"SELECT spec FROM jobs {where}")
    radii = next(it for it in spec["evaluation"]["analyses"] if it["name"] == "variance_gap").pop(
        "radii"
    )
    column = "CAST(:document AS JSON)" if database.dialect.name == "postgresql" else ":document"
    write(database, f"UPDATE jobs SET spec = {column} {where}", spec)
    migrate(empty_url)
    upgraded = read(database, f"SELECT spec FROM jobs {where}")
    (gap,) = (it for it in upgraded["evaluation"]["analyses"] if it["name"] == "variance_gap")
    assert gap["radii"] == radii
    assert parse(upgraded).kind == "evaluation"


def test_answers_to_idempotency_keys_stay_as_sent(database: Engine, empty_url: str) -> None:
    statement = "SELECT response_body FROM idempotency WHERE key = 'old-1'"
    before = read(database, statement)
    migrate(empty_url)
    assert read(database, statement) == before
    assert before["spec"]["student"]["normalisation"] == "none"
