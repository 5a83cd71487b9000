"""Rows of the store -> what a caller reads."""

from typing import Any

from sqlalchemy.orm import Session

from api import schemas
from core.spec.status import TERMINAL
from core.store import jobs, moves, tables

_SUMMARY = (
    "id kind name status phase progress pending_reason attempt worker student method dataset dataset_id teacher_id "
    "results model_id created_at started_at finished_at"
).split()
_MODEL = (
    "id name status architecture description parameters problem report source_job_id import_job_id size sha256 created_at"
).split()
_DATASET = "id name status source description problem import_job_id size sha256 created_at".split()
_KEY = "id name scopes created_at expires_at last_used_at revoked_at".split()
_ARTIFACT = "name kind size sha256 media_type step created_at".split()


def job(session: Session, row: tables.Job) -> schemas.Job:
    return schemas.Job(
        **_summary(row),
        queue_position=jobs.queue_position(session, row),
        spec=row.spec,
        status_history=[
            schemas.StatusChange(status=event.data["to"], at=event.at, reason=event.data.get("reason"))
            for event in moves.history(session, row.id)
        ],
    )


def job_summary(row: tables.Job) -> schemas.JobSummary:
    return schemas.JobSummary(**_summary(row))


def _summary(row: tables.Job) -> dict[str, Any]:
    failure = row.failure and {"retryable": row.failure.get("class") != "user", "attempt": row.attempt, **row.failure}
    return {
        **_columns(row, _SUMMARY),
        "metadata": row.labels,
        "terminal": row.status in TERMINAL,
        "failure": failure,
    }


def event(row: tables.Event) -> schemas.Event:
    return schemas.Event(seq=row.seq, type=row.type, at=row.at, attempt=row.attempt, data=row.data)


def artifact(row: tables.Artifact) -> schemas.Artifact:
    return schemas.Artifact(**_columns(row, _ARTIFACT), url=f"/v1/jobs/{row.job_id}/artifacts/{row.name}")


def model(row: tables.Model) -> schemas.Model:
    return schemas.Model(**_columns(row, _MODEL))


def dataset(row: tables.Dataset) -> schemas.Dataset:
    return schemas.Dataset(**_columns(row, _DATASET), report=getattr(row, "report", None))


def key(row: tables.ApiKey) -> schemas.Key:
    return schemas.Key(**_columns(row, _KEY))


def new_key(row: tables.ApiKey, secret: str) -> schemas.NewKey:
    return schemas.NewKey(**_columns(row, _KEY), secret=secret)


def _columns(row: tables.Base, names: list[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
