"""Rows of the store -> what a caller reads."""

from functools import cache
from typing import Any

from sqlalchemy import Row, inspect
from sqlalchemy.orm import Session

from api import schemas
from core.spec.status import TERMINAL
from core.store import jobs, moves, sweeps, tables, workers


def job(session: Session, row: tables.Job) -> schemas.Job:
    history = [
        schemas.StatusChange(status=event.data["to"], at=event.at, reason=event.data.get("reason"))
        for event in moves.history(session, row.id)
    ]
    position = jobs.queue_position(session, row)
    summary = {**_summary(row), "pending_reason": pending_reason(session, row)}
    return schemas.Job(**summary, spec=row.spec, queue_position=position, status_history=history)


def pending_reason(session: Session, row: tables.Job) -> str | None:
    """What its last attempt left behind, and whether there is any worker for it at this moment."""
    return " ".join(reason for reason in (row.pending_reason, workers.obstacle(session, row)) if reason) or None


def job_summary(row: Row[Any]) -> schemas.JobSummary:
    """Of a line of a list."""
    return schemas.JobSummary(**_summary(row))


def _summary(row: tables.Job | Row[Any]) -> dict[str, Any]:
    failure = row.failure and {"retryable": row.failure.get("class") != "user", "attempt": row.attempt, **row.failure}
    return {
        **{name: getattr(row, name) for name in _shared(tables.Job, schemas.JobSummary)},
        "metadata": row.labels,
        "terminal": row.status in TERMINAL,
        "failure": failure,
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
