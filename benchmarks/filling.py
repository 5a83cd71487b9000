"""A database with as many jobs as wanted: seeded rows as the service would have stored them, written in bulk."""

import json
import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import psycopg.sql
from sqlalchemy import make_url

from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec
from core.jobspec.status import PROTOCOL, TERMINAL
from core.store.database.pagination import encode
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID

BEGINNING_MS = 1_700_000_000_000
STATUSES = {"succeeded": 85, "failed": 8, "cancelled": 5.99, "queued": 1, "running": 0.01}
METHODS = ["starship", "ard", "rslad", "adaad", "iad", "akd", "arkd", "trades"]
STUDENTS = ["resnet18", "mobilenet_v2", "small_cnn", "wrn_28_10"]
TEAMS = 100
JOB = resolve(
    AdversarialTrainingSpec.model_validate(
        {"data": {"dataset": "digits"}, "student": {"architecture": "small_cnn"}}
    ),
    DIGITS,
)
SERIES, STEPS = ["loss", "loss_kl", "accuracy", "robust_accuracy", "learning_rate"], 2000
"""Of each job that has metrics at all."""

COLUMNS = {
    "jobs": "id project_id kind name spec student method dataset dataset_id metadata status phase attempt "
    "infrastructure_failures protocol worker results event_seq version created_at started_at finished_at lease_expires_at",
    "labels": "project_id key value job_id created_at",
    "events": "job_id seq type at attempt data",
    "metrics": "job_id name step value attempt",
}


@dataclass(frozen=True)
class Filled:
    """What can be asked of the database afterwards."""

    jobs: int
    points: int
    middle: str
    """The cursor of the page that begins half way."""
    some: list[str]
    """Ids of jobs, all over the table."""
    waiting: list[str]
    measured: list[str]
    """Ids of jobs with metrics."""


def job_id(number: int) -> str:
    """As long as a real one, and in the order of time."""
    return f"job_{number:026d}"


def fill(url: str, jobs: int, points: int, seed: int = 0) -> Filled:
    """``points`` are spread over the first jobs that they are enough for."""
    measured = max(1, points // (len(SERIES) * STEPS))
    with _bulk(url) as bulk:
        rows = list(_statuses(jobs, seed))
        bulk.write("jobs", _jobs(rows, seed))
        bulk.write(
            "labels",
            (
                (DEFAULT_PROJECT, "team", f"team-{n % TEAMS}", job_id(n), _time(n))
                for n in range(jobs)
            ),
        )
        bulk.write("events", _events(rows))
        bulk.write("metrics", _metrics(measured, seed))
    chance = random.Random(seed)
    waiting = [n for n, status in enumerate(rows) if status == "queued"]
    half = jobs // 2
    return Filled(
        jobs,
        measured * len(SERIES) * STEPS,
        encode(_time(half), job_id(half)),
        [job_id(chance.randrange(jobs)) for _ in range(200)],
        [job_id(n) for n in chance.sample(waiting, min(50, len(waiting)))],
        [job_id(chance.randrange(measured)) for _ in range(50)],
    )


def _time(number: int) -> int:
    return BEGINNING_MS + 1000 * number


def _statuses(jobs: int, seed: int) -> Iterator[str]:
    """The oldest have ended; those that wait or run are spread over the rest, so that no list is easier than another."""
    chance = random.Random(seed)
    return iter(chance.choices(list(STATUSES), list(STATUSES.values()), k=jobs))


def _jobs(statuses: Sequence[str], seed: int) -> Iterator[Sequence[Any]]:
    chance = random.Random(seed + 1)
    spec = JOB.model_dump_json()
    for n, status in enumerate(statuses):
        at, ended, held = _time(n), status in TERMINAL, status == "running"
        results = {
            name: {"clean": chance.random(), "pgd": chance.random(), "cw": chance.random()}
            for name in ("best", "last")
        }
        yield (
            job_id(n),
            DEFAULT_PROJECT,
            "adversarial_training" if n % 10 == 0 else "distillation",
            f"job number {n}",
            spec,
            STUDENTS[n % 13 % len(STUDENTS)],
            METHODS[n % 17 % len(METHODS)],
            "digits",
            DIGITS_ID,
            json.dumps({"team": f"team-{n % TEAMS}"}),
            status,
            "training" if held else None,
            0 if status == "queued" else 1,
            0,
            PROTOCOL,
            "worker-1" if held else None,
            json.dumps(results) if status == "succeeded" else None,
            3,
            4,
            at,
            None if status == "queued" else at + 500,
            at + 900_000 if ended else None,
            2**52 if held else None,
        )


def _events(statuses: Sequence[str]) -> Iterator[Sequence[Any]]:
    for n, status in enumerate(statuses):
        steps = (
            ["queued"]
            if status == "queued"
            else ["queued", "running", *([status] if status in TERMINAL else [])]
        )
        for seq, (old, new) in enumerate(zip([None, *steps], steps, strict=False), start=1):
            data = json.dumps({"from": old, "to": new, "reason": None})
            yield job_id(n), seq, "status", _time(n) + seq, int(seq > 1), data


def _metrics(jobs: int, seed: int) -> Iterator[Sequence[Any]]:
    chance = random.Random(seed + 2)
    for n in range(jobs):
        for name in sorted(SERIES):
            for step in range(STEPS):
                yield job_id(n), name, step, chance.random(), 1


def _bulk(url: str) -> "_Postgres | _Sqlite":
    return _Sqlite(str(make_url(url).database)) if url.startswith("sqlite") else _Postgres(url)


class _Postgres:
    """COPY, and then what autovacuum would have done in time."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)

    def __enter__(self) -> "_Postgres":
        return self

    def write(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        columns = COLUMNS[table].split()
        into = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(
            psycopg.sql.Identifier(table),
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, columns)),
        )
        with self.connection.cursor() as cursor, cursor.copy(into) as copy:
            for row in rows:
                copy.write_row(row)
        self.connection.commit()

    def __exit__(self, *_: object) -> None:
        self.connection.autocommit = True
        self.connection.execute("VACUUM ANALYZE")
        self.connection.close()


class _Sqlite:
    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path)
        self.connection.execute("PRAGMA synchronous = OFF")

    def __enter__(self) -> "_Sqlite":
        return self

    def write(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        columns = COLUMNS[table].split()
        marks = ", ".join("?" * len(columns))
        self.connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows
        )
        self.connection.commit()

    def __exit__(self, *_: object) -> None:
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()
