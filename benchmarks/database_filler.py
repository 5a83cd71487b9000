"""Fill a database with many jobs: seeded rows as the service would store them, in bulk."""

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
from core.store.database.pagination import encode_cursor
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from core.summary_statistics import wilson_interval

FIRST_CREATED_AT_MS = 1_700_000_000_000
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
RESULTS = {
    "clean": ("clean", None, None),
    "pgd-20@linf:8/255": ("pgd", "linf", 8 / 255),
    "cw-30@linf:8/255": ("cw", "linf", 8 / 255),
}
"""By key, name, norm and radius."""
IMAGES = 360
METRICS = ["loss", "loss_kl", "accuracy", "robust_accuracy", "learning_rate"]
STEPS = 2000
"""Metrics of each job that has any, and points of each metric."""

COLUMNS = {
    "jobs": "id project_id kind name spec student method dataset dataset_id metadata status phase "
    "attempt infrastructure_failures protocol worker results event_seq version created_at "
    "started_at finished_at lease_expires_at",
    "labels": "project_id key value job_id created_at",
    "job_results": "job_id key network project_id dataset_id is_main name norm radius value images "
    "low high image_set mask",
    "search_words": "item_id word noun project_id",
    "events": "job_id seq type at attempt data",
    "metrics": "job_id name step value attempt",
}


@dataclass(frozen=True)
class FilledDatabase:
    """What the database holds, for queries on it."""

    jobs: int
    points: int
    middle_cursor: str
    """Cursor of the page that begins half way through the table."""
    job_ids: list[str]
    """Ids of jobs all over the table."""
    queued_ids: list[str]
    metric_ids: list[str]
    """Ids of jobs with metrics."""


def job_id(number: int) -> str:
    """As long as a real id, and ordered by time."""
    return f"job_{number:026d}"


def fill(url: str, jobs: int, points: int, seed: int = 0) -> FilledDatabase:
    """Insert jobs, labels and events, and about ``points`` metric points, all of the first jobs."""
    jobs_with_metrics = max(1, points // (len(METRICS) * STEPS))
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
        bulk.write("job_results", _results(rows, seed))
        bulk.write("search_words", _words(jobs))
        bulk.write("events", _events(rows))
        bulk.write("metrics", _metrics(jobs_with_metrics, seed))
    rng = random.Random(seed)
    queued = [n for n, status in enumerate(rows) if status == "queued"]
    half = jobs // 2
    return FilledDatabase(
        jobs,
        jobs_with_metrics * len(METRICS) * STEPS,
        encode_cursor(_time(half), job_id(half)),
        [job_id(rng.randrange(jobs)) for _ in range(200)],
        [job_id(n) for n in rng.sample(queued, min(50, len(queued)))],
        [job_id(rng.randrange(jobs_with_metrics)) for _ in range(50)],
    )


def write_metrics(url: str, rows: Iterable[Sequence[Any]]) -> None:
    """Insert (job id, name, step, value, attempt)."""
    with _bulk(url) as bulk:
        bulk.write("metrics", rows)


def _time(number: int) -> int:
    return FIRST_CREATED_AT_MS + 1000 * number


def _statuses(jobs: int, seed: int) -> Iterator[str]:
    """Spread the statuses over the whole table, so that no list is easier than another."""
    rng = random.Random(seed)
    return iter(rng.choices(list(STATUSES), list(STATUSES.values()), k=jobs))


def _jobs(statuses: Sequence[str], seed: int) -> Iterator[Sequence[Any]]:
    rng = random.Random(seed + 1)
    spec = JOB.model_dump_json()
    for n, status in enumerate(statuses):
        created_at = _time(n)
        is_running = status == "running"
        results = {name: {key: rng.random() for key in RESULTS} for name in ("best", "last")}
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
            "training" if is_running else None,
            0 if status == "queued" else 1,
            0,
            PROTOCOL,
            "worker-1" if is_running else None,
            json.dumps(results) if status == "succeeded" else None,
            3,
            4,
            created_at,
            None if status == "queued" else created_at + 500,
            created_at + 900_000 if status in TERMINAL else None,
            2**52 if is_running else None,
        )


def _results(statuses: Sequence[str], seed: int) -> Iterator[Sequence[Any]]:
    """Yield the rows of all results, whose values are those in the jobs."""
    rng = random.Random(seed + 1)
    mask = bytes(IMAGES // 8)
    for n, status in enumerate(statuses):
        for network in ("best", "last"):
            for key, (name, norm, radius) in RESULTS.items():
                value = rng.random()
                if status != "succeeded":
                    continue
                low, high = wilson_interval(value, IMAGES)
                measured = (name, norm, radius, value, IMAGES, low, high, "digits", mask)
                is_main = network == "best"
                yield job_id(n), key, network, DEFAULT_PROJECT, DIGITS_ID, is_main, *measured


def _words(jobs: int) -> Iterator[Sequence[Any]]:
    for n in range(jobs):
        id_ = job_id(n)
        words = ("job", "number", str(n), "team", str(n % TEAMS), id_[4:], id_[-7:], id_[-10:])
        for word in dict.fromkeys(words):
            yield id_, word, "job", DEFAULT_PROJECT


def _events(statuses: Sequence[str]) -> Iterator[Sequence[Any]]:
    for n, status in enumerate(statuses):
        steps = ["queued"]
        if status != "queued":
            steps.append("running")
        if status in TERMINAL:
            steps.append(status)
        for seq, (old, new) in enumerate(zip([None, *steps], steps, strict=False), start=1):
            data = json.dumps({"from": old, "to": new, "reason": None})
            yield job_id(n), seq, "status", _time(n) + seq, int(seq > 1), data


def _metrics(jobs: int, seed: int) -> Iterator[Sequence[Any]]:
    rng = random.Random(seed + 2)
    for n in range(jobs):
        for name in sorted(METRICS):
            for step in range(STEPS):
                yield job_id(n), name, step, rng.random(), 1


def _bulk(url: str) -> "_Postgres | _Sqlite":
    return _Sqlite(str(make_url(url).database)) if url.startswith("sqlite") else _Postgres(url)


class _Postgres:
    """Writes with COPY, then vacuums as autovacuum would in time."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)

    def __enter__(self) -> "_Postgres":
        return self

    def write(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        columns = COLUMNS[table].split()
        statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(
            psycopg.sql.Identifier(table),
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, columns)),
        )
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        self.connection.commit()

    def __exit__(self, *_: object) -> None:
        self.connection.autocommit = True
        self.connection.execute("VACUUM ANALYZE")
        self.connection.close()


class _Sqlite:
    """Writes without waiting for the disk."""

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
