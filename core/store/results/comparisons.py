"""What a comparison of jobs reads."""

from collections.abc import Container, Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from core.reportspec.accuracies import Accuracy
from core.reportspec.comparison import EvaluatedJob
from core.store.database.ids import is_id
from core.store.database.tables import DatasetRow, JobRow, ModelRow
from core.store.results.reading import accuracies_of_jobs

EVALUATED_KINDS = ("distillation", "adversarial_training", "evaluation")


def compared_jobs(session: Session, project_id: str, job_ids: Sequence[str]) -> list[Row[Any]]:
    """Return the jobs in this order, with the name of their data set and their model.

    Raises NotFound for a job that the project does not have, and Invalid for an import.
    """
    evaluated_model = JobRow.spec["model"].as_string()
    statement = (
        select(
            JobRow.id,
            JobRow.name,
            JobRow.kind,
            JobRow.status,
            JobRow.method,
            JobRow.student,
            JobRow.dataset_id,
            JobRow.teacher_id,
            JobRow.model_id,
            JobRow.sweep_id,
            JobRow.sweep_line,
            JobRow.labels,
            JobRow.created_at,
            JobRow.spec,
            JobRow.dataset,
            DatasetRow.name.label("dataset_name"),
            evaluated_model.label("evaluated_model_id"),
        )
        .outerjoin(DatasetRow, DatasetRow.id == JobRow.dataset_id)
        .where(*_are_jobs(project_id, job_ids))
    )
    rows: dict[str, Any] = {row.id: row for row in session.execute(statement)}
    _require_all(job_ids, rows)
    for job_id in job_ids:
        if rows[job_id].kind not in EVALUATED_KINDS:
            message = f"Job {job_id} is an import: it has no results to compare."
            raise Invalid.field("jobs", message=message)
    return [rows[job_id] for job_id in job_ids]


def require_jobs(session: Session, project_id: str, job_ids: Sequence[str]) -> None:
    """Raises NotFound for a job that the project does not have."""
    statement = select(JobRow.id).where(*_are_jobs(project_id, job_ids))
    _require_all(job_ids, set(session.scalars(statement)))


def _are_jobs(project_id: str, job_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    ids = [job_id for job_id in job_ids if is_id(job_id)]
    return JobRow.project_id == project_id, JobRow.live(), JobRow.id.in_(ids)


def _require_all(job_ids: Sequence[str], existing: Container[str]) -> None:
    for job_id in job_ids:
        if job_id not in existing:
            raise NotFound(f"There is no job {job_id[:64]!r} in this project.")


def evaluated_jobs(
    session: Session,
    jobs: Sequence[Row[Any]],
    network: Literal["best", "last"],
    *,
    per_class: bool = False,
) -> list[EvaluatedJob]:
    """Return the jobs with their accuracies of one network; of an evaluation, of its model."""
    accuracies = accuracies_of_jobs(session, [job.id for job in jobs], per_class=per_class)
    evaluated = []
    for job in jobs:
        own_network = "model" if job.kind == "evaluation" else network
        by_key: dict[str, Accuracy] = accuracies.get(job.id, {}).get(own_network, {})
        evaluated.append(
            EvaluatedJob(
                id=job.id,
                dataset_id=job.dataset_id,
                dataset=job.dataset_name or job.dataset,
                spec=job.spec,
                network=own_network,
                accuracies=by_key,
            )
        )
    return evaluated


def parameters_of(session: Session, model_ids: Sequence[str | None]) -> dict[str, int | None]:
    """Return the number of parameters of each model, by id."""
    named = [model_id for model_id in model_ids if model_id is not None]
    statement = select(ModelRow.id, ModelRow.parameters).where(ModelRow.id.in_(named))
    return {row.id: row.parameters for row in session.execute(statement)}
