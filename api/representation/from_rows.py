"""Rows of the store -> what a caller reads."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import Row, inspect
from sqlalchemy.orm import Session

from api.representation import schemas
from core.jobspec.status import TERMINAL
from core.store import jobs, sweeps, workers
from core.store.database import tables
from core.store.lifecycle import transitions

_summaries = TypeAdapter(list[schemas.JobSummaryResponse])


class QueueState(NamedTuple):
    """What of a job changes without the job: whoever is before it in the queue, and who there is to take it."""

    position: int | None
    reason: str | None


def queue_state(session: Session, row: tables.JobRow) -> QueueState:
    """``reason``: what its last attempt left behind, and whether there is any worker for it at this moment."""
    reason = (
        " ".join(it for it in (row.pending_reason, workers.explain_waiting(session, row)) if it) or None
    )
    return QueueState(jobs.queue_position(session, row), reason)


def job(session: Session, row: tables.JobRow, waits: QueueState | None = None) -> schemas.JobResponse:
    """``waits``: as ``waiting`` has found it, where that was asked before."""
    waits = waits or queue_state(session, row)
    history = [
        schemas.StatusChange(status=event.data["to"], at=event.at, reason=event.data.get("reason"))
        for event in transitions.history(session, row.id)
    ]
    summary = _summary(
        {
            "labels": row.labels,
            **_columns(row, schemas.JobSummaryResponse),
            "pending_reason": waits.reason,
        }
    )
    return schemas.JobResponse(
        **summary, spec=row.spec, queue_position=waits.position, status_history=history
    )


def job_summaries(rows: Sequence[Row[Any]]) -> list[schemas.JobSummaryResponse]:
    """Of the lines of a list, all at once: one by one they take as long as the query."""
    return _summaries.validate_python([_summary(row._asdict()) for row in rows])


def _summary(columns: dict[str, Any]) -> dict[str, Any]:
    failure, attempt = columns["failure"], columns["attempt"]
    return columns | {
        "metadata": columns["labels"],
        "terminal": columns["status"] in TERMINAL,
        "failure": failure
        and {"retryable": failure.get("class") != "user", "attempt": attempt, **failure},
    }


def sweep(row: tables.SweepRow, counts: sweeps.StatusCounts) -> schemas.SweepResponse:
    return schemas.SweepResponse(**_sweep(row, counts), spec=row.spec)


def sweep_summary(row: tables.SweepRow, counts: sweeps.StatusCounts) -> schemas.SweepSummaryResponse:
    return schemas.SweepSummaryResponse(**_sweep(row, counts))


def _sweep(row: tables.SweepRow, counts: sweeps.StatusCounts) -> dict[str, Any]:
    return {
        **_columns(row, schemas.SweepSummaryResponse),
        "jobs": counts,
        "terminal": set(counts) <= TERMINAL,
    }


def event(row: tables.EventRow) -> schemas.EventResponse:
    return schemas.EventResponse(
        seq=row.seq, type=row.type, at=row.at, attempt=row.attempt, data=row.data
    )


def artifact(row: tables.ArtifactRow) -> schemas.ArtifactResponse:
    return schemas.ArtifactResponse(
        **_columns(row, schemas.ArtifactResponse), url=f"/v1/jobs/{row.job_id}/artifacts/{row.name}"
    )


def model(row: tables.ModelRow) -> schemas.ModelResponse:
    return schemas.ModelResponse(**_columns(row, schemas.ModelResponse))


def dataset(row: tables.DatasetRow) -> schemas.DatasetResponse:
    return schemas.DatasetResponse(
        **{"report": None, **_columns(row, schemas.DatasetResponse), **(row.reading or {})}
    )


def worker(seen: workers.WorkerState) -> schemas.WorkerResponse:
    return schemas.WorkerResponse(
        **_columns(seen.row, schemas.WorkerResponse), alive=seen.alive, running=seen.running
    )


def key(row: tables.ApiKeyRow) -> schemas.KeyResponse:
    return schemas.KeyResponse(**_columns(row, schemas.KeyResponse))


def new_key(row: tables.ApiKeyRow, secret: str) -> schemas.NewKeyResponse:
    return schemas.NewKeyResponse(**_columns(row, schemas.NewKeyResponse), secret=secret)


def project(row: tables.ProjectRow) -> schemas.ProjectResponse:
    return schemas.ProjectResponse(**_columns(row, schemas.ProjectResponse))


def audit_line(row: tables.AuditRow) -> schemas.AuditLineResponse:
    return schemas.AuditLineResponse(**_columns(row, schemas.AuditLineResponse))


def _columns(row: tables.Base, answer: type[schemas.ResponseBody]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _shared(type(row), answer)}


@cache
def _shared(table: type[tables.Base], answer: type[schemas.ResponseBody]) -> tuple[str, ...]:
    """What is called the same in the table and in the answer."""
    return tuple(
        column.key for column in inspect(table).column_attrs if column.key in answer.model_fields
    )
