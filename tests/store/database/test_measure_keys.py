"""Migration 0006 gives every result the key that says its attack and its threat model."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from core.store.database.engine import make_engine, migrate
from tests.store.database.test_upgrades import build, contents, empty_url, with_parsed_json

__all__ = ["empty_url"]

COPIED = "evaluated model"


@pytest.fixture
def database(empty_url: str) -> Engine:
    build(empty_url, "0005")
    return make_engine(empty_url)


def insert_copies(engine: Engine, changes: list[dict[str, Any]]) -> None:
    """Insert a copy of a released job for each of the changes, with one event of its results."""
    job = next(job for job in contents(engine)["jobs"] if job["name"] == COPIED)
    documents = {"spec", "metadata", "results", "progress", "failure"}
    rows = []
    for number, change in enumerate(changes):
        row = {**job, "id": f"job_copy_{number:05}", "name": f"copy {number}", **change}
        texts = {name: json.dumps(row[name]) for name in documents if isinstance(row[name], dict)}
        rows.append({**row, **texts})
    columns = ", ".join(job)
    values = ", ".join(f":{column}" for column in job)
    event = {"network": "best", "name": "pgd", "value": 0.5}
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ({values})"), rows)
        connection.execute(
            text(
                "INSERT INTO events (job_id, seq, type, data, attempt, at) "
                "VALUES (:id, 1, 'measured', :data, 1, 0)"
            ),
            [{"id": row["id"], "data": json.dumps(event)} for row in rows],
        )


def migrated_copies(engine: Engine, url: str) -> list[dict[str, Any]]:
    migrate(url)
    jobs = [job for job in contents(engine)["jobs"] if job["id"].startswith("job_copy")]
    return [with_parsed_json("jobs", job) for job in jobs]


def evaluation_spec(*attacks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"kind": "evaluation", "evaluation": {"attacks": list(attacks)}, **changes}


CASES: list[tuple[dict[str, Any], str, str]] = [
    # Every default is written out today; a spec without it means what it meant.
    (evaluation_spec({"name": "pgd"}), "pgd", "pgd-20@linf:8/255"),
    (evaluation_spec({"name": "cw"}, radius=4 / 255), "cw", "cw-30@linf:4/255"),
    (
        evaluation_spec({"name": "pgd", "radius": None, "step_size": None}, radius=0.1),
        "pgd",
        "pgd-20@linf:0.1",
    ),
    (evaluation_spec({"name": "autoattack"}), "autoattack", "autoattack@linf:8/255"),
    (
        evaluation_spec({"name": "autoattack", "norm": "l2", "radius": 128 / 255}),
        "autoattack",
        "autoattack@l2:128/255",
    ),
    # The usual step sizes: a quarter of the radius, and 0.003 at 8/255.
    (
        evaluation_spec({"name": "pgd", "radius": 8 / 255, "step_size": 2 / 255}),
        "pgd",
        "pgd-20@linf:8/255",
    ),
    (
        evaluation_spec({"name": "cw", "radius": 16 / 255, "step_size": 0.006}),
        "cw",
        "cw-30@linf:16/255",
    ),
    (
        evaluation_spec({"name": "cw", "radius": 8 / 255, "step_size": 0.01}),
        "cw",
        "cw-30:step=0.01@linf:8/255",
    ),
    (
        {"adversary": {"radius": 0.0313725}, "evaluation": {"attacks": []}},
        "held_out_robust",
        "held_out_pgd-10@linf:8/255",
    ),
    ({"adversary": {"radius": 0.1}, "evaluation": {"attacks": []}}, "clean", "clean"),
]
"""A spec, the former name of one of its results, and the key that it gets."""


def test_key_says_what_the_spec_meant(database: Engine, empty_url: str) -> None:
    changes = [
        {"spec": spec, "results": {"model": {name: 0.5}}, "version": 4} for spec, name, _ in CASES
    ]
    insert_copies(database, changes)
    jobs = migrated_copies(database, empty_url)
    assert [job["results"] for job in jobs] == [{"model": {key: 0.5}} for _, _, key in CASES]
    assert [job["version"] for job in jobs] == [4 if name == key else 5 for _, name, key in CASES]


def test_jobs_of_several_pages_are_renamed(database: Engine, empty_url: str) -> None:
    """Each with its own spec, and those without results not at all."""
    changes = [
        {
            "spec": evaluation_spec({"name": "pgd", "steps": 1 + number}, radius=0.1),
            "results": {"best": {"pgd": number / 1200}} if number % 3 else None,
            "version": 1,
        }
        for number in range(1200)
    ]
    insert_copies(database, changes)
    jobs = migrated_copies(database, empty_url)
    assert [(job["results"], job["version"]) for job in jobs] == [
        ({"best": {f"pgd-{1 + number}@linf:0.1": number / 1200}}, 2) if number % 3 else (None, 1)
        for number in range(1200)
    ]
    events = [
        with_parsed_json("events", event)["data"]["name"]
        for event in contents(database)["events"]
        if event["job_id"].startswith("job_copy")
    ]
    assert events == [
        f"pgd-{1 + number}@linf:0.1" if number % 3 else "pgd" for number in range(1200)
    ]
