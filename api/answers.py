"""Rows of the store -> what a caller reads."""

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from api import schemas
from core.spec.status import TERMINAL
from core.store import jobs, moves, tables


def job(session: Session, row: tables.Job) -> schemas.Job:
    history = [
        schemas.StatusChange(status=event.data["to"], at=event.at, reason=event.data.get("reason"))
        for event in moves.history(session, row.id)
    ]
    return schemas.Job(**_summary(row), queue_position=jobs.queue_position(session, row), status_history=history)


def job_summary(row: tables.Job) -> schemas.JobSummary:
    return schemas.JobSummary(**_summary(row))


def _summary(row: tables.Job) -> dict[str, Any]:
    failure = row.failure and {"retryable": row.failure.get("class") != "user", "attempt": row.attempt, **row.failure}
    return {
        **_columns(row),
        "metadata": row.labels,
        "terminal": row.status in TERMINAL,
        "failure": failure,
    }


def event(row: tables.Event) -> schemas.Event:
    return schemas.Event(seq=row.seq, type=row.type, at=row.at, attempt=row.attempt, data=row.data)


def artifact(row: tables.Artifact) -> schemas.Artifact:
    return schemas.Artifact(**_columns(row), url=f"/v1/jobs/{row.job_id}/artifacts/{row.name}")


def model(row: tables.Model) -> schemas.Model:
    return schemas.Model(**_columns(row))


def dataset(row: tables.Dataset) -> schemas.Dataset:
    return schemas.Dataset(**{"report": None, **_columns(row)})


def key(row: tables.ApiKey) -> schemas.Key:
    return schemas.Key(**_columns(row))


def new_key(row: tables.ApiKey, secret: str) -> schemas.NewKey:
    return schemas.NewKey(**_columns(row), secret=secret)


def _columns(row: tables.Base) -> dict[str, Any]:
    """Every column; what an answer has no field for, it leaves out."""
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}
