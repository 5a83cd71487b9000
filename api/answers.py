"""Rows of the store -> what a caller reads."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import Row, inspect
from sqlalchemy.orm import Session

from api import schemas
from core.spec.status import TERMINAL
from core.store import jobs, moves, sweeps, tables, workers

_summaries = TypeAdapter(list[schemas.JobSummary])


class Waiting(NamedTuple):
    """What of a job changes without the job: whoever is before it in the queue, and who there is to take it."""

    position: int | None
    reason: str | None


def waiting(session: Session, row: tables.Job) -> Waiting:
    """``reason``: what its last attempt left behind, and whether there is any worker for it at this moment."""
    reason = " ".join(it for it in (row.pending_reason, workers.obstacle(session, row)) if it) or None
    return Waiting(jobs.queue_position(session, row), reason)


def job(session: Session, row: tables.Job, waits: Waiting | None = None) -> schemas.Job:
    """``waits``: as ``waiting`` has found it, where that was asked before."""
    waits = waits or waiting(session, row)
    history = [
        schemas.StatusChange(status=event.data["to"], at=event.at, reason=event.data.get("reason"))
        for event in moves.history(session, row.id)
    ]
    summary = _summary({"labels": row.labels, **_columns(row, schemas.JobSummary), "pending_reason": waits.reason})
    return schemas.Job(**summary, spec=row.spec, queue_position=waits.position, status_history=history)


def job_summaries(rows: Sequence[Row[Any]]) -> list[schemas.JobSummary]:
    """Of the lines of a list, all at once: one by one they take as long as the query."""
    return _summaries.validate_python([_summary(row._asdict()) for row in rows])


def _summary(columns: dict[str, Any]) -> dict[str, Any]:
    failure, attempt = columns["failure"], columns["attempt"]
    return columns | {
        "metadata": columns["labels"],
        "terminal": columns["status"] in TERMINAL,
        "failure": failure and {"retryable": failure.get("class") != "user", "attempt": attempt, **failure},
    }


def sweep(row: tables.Sweep, counts: sweeps.Counts) -> schemas.Sweep:
    return schemas.Sweep(**_sweep(row, counts), spec=row.spec)


def sweep_summary(row: tables.Sweep, counts: sweeps.Counts) -> schemas.SweepSummary:
    return schemas.SweepSummary(**_sweep(row, counts))


def _sweep(row: tables.Sweep, counts: sweeps.Counts) -> dict[str, Any]:
    return {**_columns(row, schemas.SweepSummary), "jobs": counts, "terminal": set(counts) <= TERMINAL}


def event(row: tables.Event) -> schemas.Event:
    return schemas.Event(seq=row.seq, type=row.type, at=row.at, attempt=row.attempt, data=row.data)


def artifact(row: tables.Artifact) -> schemas.Artifact:
    return schemas.Artifact(**_columns(row, schemas.Artifact), url=f"/v1/jobs/{row.job_id}/artifacts/{row.name}")


def model(row: tables.Model) -> schemas.Model:
    return schemas.Model(**_columns(row, schemas.Model))


def dataset(row: tables.Dataset) -> schemas.Dataset:
    return schemas.Dataset(**{"report": None, **_columns(row, schemas.Dataset), **(row.reading or {})})


def worker(seen: workers.Seen) -> schemas.Worker:
    return schemas.Worker(**_columns(seen.row, schemas.Worker), alive=seen.alive, running=seen.running)


def key(row: tables.ApiKey) -> schemas.Key:
    return schemas.Key(**_columns(row, schemas.Key))


def new_key(row: tables.ApiKey, secret: str) -> schemas.NewKey:
    return schemas.NewKey(**_columns(row, schemas.NewKey), secret=secret)


def project(row: tables.Project) -> schemas.Project:
    return schemas.Project(**_columns(row, schemas.Project))


def audit_line(row: tables.Audit) -> schemas.AuditLine:
    return schemas.AuditLine(**_columns(row, schemas.AuditLine))


def _columns(row: tables.Base, answer: type[schemas.Answer]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _shared(type(row), answer)}


@cache
def _shared(table: type[tables.Base], answer: type[schemas.Answer]) -> tuple[str, ...]:
    """What is called the same in the table and in the answer."""
    return tuple(column.key for column in inspect(table).column_attrs if column.key in answer.model_fields)
