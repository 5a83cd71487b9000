"""Rows of the store as response bodies."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import Row, inspect
from sqlalchemy.orm import Session

from api.representation import schemas
from core.jobspec.failure_advice import advice_for
from core.jobspec.resolved import parse
from core.jobspec.status import TERMINAL
from core.reportspec.accuracies import deciding_keys, main_results
from core.reportspec.measures import Measure, describe, sort_key
from core.store import events, jobs, metrics, sweeps, workers
from core.store.database import tables
from core.store.registry import series
from core.store.results import reading

_job_summaries = TypeAdapter(list[schemas.JobSummaryResponse])


class QueueState(NamedTuple):
    """What changes about a waiting job without its row: the jobs before it and the workers."""

    position: int | None
    """1: next; None unless queued."""
    reason: str | None
    """Why it waits: what its last attempt left behind, and whether any worker can take it now."""


def queue_state(session: Session, row: tables.JobRow) -> QueueState:
    reasons = (row.pending_reason, workers.explain_waiting(session, row))
    joined = " ".join(reason for reason in reasons if reason)
    return QueueState(jobs.queue_position(session, row), joined or None)


class JobDetails(NamedTuple):
    """What a job's response shows of other tables."""

    events: Sequence[tables.EventRow]
    """Its changes of status and its warnings."""
    samples: reading.Samples | None


def job_details(session: Session, rows: Sequence[tables.JobRow]) -> dict[str, JobDetails]:
    """Read the details of several jobs in two queries."""
    ids = [row.id for row in rows]
    events_by_job = events.list_of_types(session, ids, ("status", "warning"))
    samples = reading.samples_of_jobs(session, [row.id for row in rows if row.results])
    return {
        job_id: JobDetails(events_by_job.get(job_id, ()), samples.get(job_id)) for job_id in ids
    }


def job(
    session: Session,
    row: tables.JobRow,
    state: QueueState | None = None,
    details: JobDetails | None = None,
) -> schemas.JobResponse:
    """``state``, ``details``: of the job, where the caller has read them already."""
    state = state or queue_state(session, row)
    details = details or job_details(session, [row])[row.id]
    history = [
        schemas.StatusChange(status=event.data["to"], at=event.at, reason=event.data.get("reason"))
        for event in details.events
        if event.type == "status"
    ]
    columns = _shared_columns(row, schemas.JobSummaryResponse)
    summary = _job_fields({**columns, "labels": row.labels, "pending_reason": state.reason})
    return schemas.JobResponse(
        **summary,
        spec=parse(row.spec),
        notes=row.notes,
        queue_position=state.position,
        status_history=history,
        warnings=_warnings(details.events),
        measures=_describe_measures(summary["results"] or {}),
        intervals=_intervals(details.samples),
    )


def _warnings(job_events: Sequence[tables.EventRow]) -> list[schemas.JobWarning]:
    """Return the job's warnings, each once: a later attempt may have repeated some of them."""
    times: dict[tuple[str, str], int] = {}
    for event in job_events:
        if event.type == "warning":
            times.setdefault((event.data["code"], event.data["message"]), event.at)
    return [
        schemas.JobWarning(code=code, message=message, at=at)
        for (code, message), at in times.items()
    ]


def _describe_measures(results: dict[str, dict[str, float]]) -> dict[str, Measure]:
    keys = dict.fromkeys(key for numbers in results.values() for key in numbers)
    return {key: describe(key) for key in keys}


def job_summaries(session: Session, rows: Sequence[Row[Any]]) -> list[schemas.JobSummaryResponse]:
    """Validate all rows of a page in one call: one by one they take as long as the query."""
    samples = reading.samples_of_jobs(session, [row.id for row in rows if row.results])
    return _job_summaries.validate_python(
        [
            _job_fields({**row._asdict(), "intervals": _intervals(samples.get(row.id))})
            for row in rows
        ]
    )


def _intervals(samples: reading.Samples | None) -> dict[str, Any]:
    return {
        network: {key: sample._asdict() for key, sample in by_key.items()}
        for network, by_key in (samples or {}).items()
    }


def _job_fields(columns: dict[str, Any]) -> dict[str, Any]:
    """Add the fields that are derived from columns of other names."""
    failure = columns["failure"]
    if failure is not None:
        retryable = failure.get("class") != "user"
        failure = {
            "retryable": retryable,
            "attempt": columns["attempt"],
            "advice": advice_for(failure["code"]),
            **failure,
        }
    return {
        **columns,
        "metadata": columns["labels"],
        "terminal": columns["status"] in TERMINAL,
        "failure": failure,
        "results": _sort_results(columns["results"]),
        "deciding": deciding_keys(main_results(columns["results"])),
    }


def _sort_results(results: dict[str, dict[str, float]] | None) -> dict[str, Any] | None:
    """Return each network's results in the order of tables: JSONB has an order of its own."""
    if results is None:
        return None
    return {
        network: {key: numbers[key] for key in sorted(numbers, key=sort_key)}
        for network, numbers in results.items()
    }


def sweep(row: tables.SweepRow, counts: sweeps.StatusCounts) -> schemas.SweepResponse:
    return schemas.SweepResponse(**_sweep_fields(row, counts), spec=row.spec)


def sweep_summary(
    row: tables.SweepRow, counts: sweeps.StatusCounts
) -> schemas.SweepSummaryResponse:
    return schemas.SweepSummaryResponse(**_sweep_fields(row, counts))


def _sweep_fields(row: tables.SweepRow, counts: sweeps.StatusCounts) -> dict[str, Any]:
    columns = _shared_columns(row, schemas.SweepSummaryResponse)
    return {**columns, "jobs": counts, "terminal": set(counts) <= TERMINAL}


def event(row: tables.EventRow) -> schemas.EventResponse:
    return schemas.EventResponse(
        seq=row.seq, type=row.type, at=row.at, attempt=row.attempt, data=row.data
    )


def artifact(row: tables.ArtifactRow, root_path: str) -> schemas.ArtifactResponse:
    columns = _shared_columns(row, schemas.ArtifactResponse)
    url = f"{root_path}/v1/jobs/{row.job_id}/artifacts/{row.name}"
    return schemas.ArtifactResponse(**columns, url=url)


def models(session: Session, rows: Sequence[tables.ModelRow]) -> list[schemas.ModelResponse]:
    aliases = series.aliases_by_model(session, [row.id for row in rows])
    results = reading.values_of_models(session, [row.id for row in rows])
    return [
        schemas.ModelResponse(
            **_shared_columns(row, schemas.ModelResponse),
            metadata=row.labels,
            state_dict=(row.reading or {}).get("state_dict"),
            aliases=aliases.get(row.id, []),
            deciding=_deciding_results(results.get(row.id, {})),
            results={
                key: schemas.ModelResult(**_shared_columns(result, schemas.ModelResult))
                for key, result in sorted(
                    results.get(row.id, {}).items(), key=lambda item: sort_key(item[0])
                )
            },
        )
        for row in rows
    ]


def metric_series(values_by_name: metrics.Series) -> list[schemas.MetricSeries]:
    return [
        schemas.MetricSeries(name=name, points=values) for name, values in values_by_name.items()
    ]


def _deciding_results(results: Mapping[str, tables.JobResultRow]) -> list[str]:
    """Return the keys that decide, of each data set on its own."""
    datasets = dict.fromkeys(result.dataset_id for result in results.values())
    return [
        key
        for dataset_id in datasets
        for key in deciding_keys(
            key for key, result in results.items() if result.dataset_id == dataset_id
        )
    ]


def model(session: Session, row: tables.ModelRow) -> schemas.ModelResponse:
    return models(session, [row])[0]


def datasets(session: Session, rows: Sequence[tables.DatasetRow]) -> list[schemas.DatasetResponse]:
    return [dataset(row) for row in rows]


def dataset(row: tables.DatasetRow) -> schemas.DatasetResponse:
    columns = _shared_columns(row, schemas.DatasetResponse)
    return schemas.DatasetResponse(**{**columns, **(row.reading or {}), "metadata": row.labels})


def worker(state: workers.WorkerState) -> schemas.WorkerResponse:
    columns = _shared_columns(state.row, schemas.WorkerResponse)
    return schemas.WorkerResponse(
        **{**columns, "hardware": state.hardware}, alive=state.alive, running=state.running
    )


def key(row: tables.ApiKeyRow) -> schemas.KeyResponse:
    return schemas.KeyResponse(**_shared_columns(row, schemas.KeyResponse))


def new_key(row: tables.ApiKeyRow, secret: str) -> schemas.NewKeyResponse:
    columns = _shared_columns(row, schemas.NewKeyResponse)
    return schemas.NewKeyResponse(**columns, secret=secret)


def project(row: tables.ProjectRow) -> schemas.ProjectResponse:
    return schemas.ProjectResponse(**_shared_columns(row, schemas.ProjectResponse))


def audit_entry(row: tables.AuditRow) -> schemas.AuditEntryResponse:
    return schemas.AuditEntryResponse(**_shared_columns(row, schemas.AuditEntryResponse))


def _shared_columns(row: tables.Base, response: type[schemas.ResponseBody]) -> dict[str, Any]:
    """Return the row's values for the fields that are columns of the same name."""
    return {name: getattr(row, name) for name in _shared_names(type(row), response)}


@cache
def _shared_names(
    table: type[tables.Base], response: type[schemas.ResponseBody]
) -> tuple[str, ...]:
    columns = inspect(table).column_attrs
    return tuple(column.key for column in columns if column.key in response.model_fields)
