"""Results as rows: written with each measured number, assigned to the model that they are of."""

import base64
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from core.jobspec.resolved import ResolvedEvaluationJobSpec, parse
from core.reportspec.measures import describe
from core.reportspec.result_columns import MAIN_NETWORKS
from core.store.database import upsert
from core.store.database.fence import FencedSession
from core.store.database.tables import DatasetRow, JobResultRow, JobRow, ModelRow


@dataclass(frozen=True)
class MeasuredResult:
    """One number of a job, as its trainer has measured it. The other fields are of accuracies."""

    network: str
    key: str
    value: float
    images: int | None = None
    interval: tuple[float, float] | None = None
    mask: bytes | None = field(default=None, repr=False)
    """Which images are correct: packed bits, the first image in the highest bit."""
    image_set: str | None = None
    per_class: list[float | None] | None = None


def decode_mask(text: str | None) -> bytes | None:
    """Return the bits of a mask that a trainer has sent in base64."""
    return None if text is None else base64.b64decode(text, validate=True)


def record(session: FencedSession, job: JobRow, result: MeasuredResult) -> None:
    """Insert a result of the job, or replace the one of an earlier attempt.

    That of an evaluated model becomes the model's current result at once; those of a student
    become its own when it is published.
    """
    measure = describe(result.key)
    low, high = result.interval or (None, None)
    row = {
        "job_id": job.id,
        "network": result.network,
        "key": result.key,
        "project_id": job.project_id,
        "dataset_id": job.dataset_id,
        "is_main": result.network in MAIN_NETWORKS,
        "name": measure.name,
        "norm": measure.norm,
        "radius": measure.radius,
        "value": result.value,
        "images": result.images,
        "low": low,
        "high": high,
        "image_set": result.image_set,
        "per_class": result.per_class,
        "mask": result.mask,
    }
    primary_key = ("job_id", "network", "key")
    statement = upsert.insert(session, JobResultRow).values(row)
    changes = {name: statement.excluded[name] for name in row if name not in primary_key}
    session.execute(statement.on_conflict_do_update(index_elements=primary_key, set_=changes))
    if job.kind == "evaluation" and result.network == "model":
        spec = parse(job.spec)
        assert isinstance(spec, ResolvedEvaluationJobSpec)
        _assign_model(session, job.id, "model", spec.model, key=result.key)


def assign_student(session: FencedSession, job: JobRow, model_id: str) -> None:
    """Make the results of the job's best student those of the model that it was published as."""
    _assign_model(session, job.id, "best", model_id)


def _assign_model(
    session: Session, job_id: str, network: str, model_id: str, key: str | None = None
) -> None:
    """Make results of a job the model's current ones, except where it has some on more images.

    The model's row is locked until the transaction ends: of two evaluations that end at once, the
    second sees the results of the first.
    """
    session.execute(select(ModelRow.id).where(ModelRow.id == model_id).with_for_update())
    of_network = [JobResultRow.job_id == job_id, JobResultRow.network == network]
    if key is not None:
        of_network.append(JobResultRow.key == key)
    new = {
        row.key: row.images or 0
        for row in session.execute(select(JobResultRow.key, JobResultRow.images).where(*of_network))
    }
    current = select(JobResultRow.job_id, JobResultRow.key, JobResultRow.images).where(
        JobResultRow.model_id == model_id, JobResultRow.key.in_(new)
    )
    for row in session.execute(current).all():
        if (row.images or 0) > new[row.key] and row.job_id != job_id:
            del new[row.key]
    _release(session, JobResultRow.model_id == model_id, JobResultRow.key.in_(new))
    of_keys = JobResultRow.key.in_(new)
    session.execute(update(JobResultRow).where(*of_network, of_keys).values(model_id=model_id))


def _release(session: Session, *of_model: ColumnElement[bool]) -> None:
    """Take results from their model; delete those whose job is gone."""
    has_job = select(JobRow.id).where(JobRow.id == JobResultRow.job_id).exists()
    session.execute(delete(JobResultRow).where(*of_model, ~has_job))
    session.execute(update(JobResultRow).where(*of_model).values(model_id=None))


def forget(session: Session, row: JobRow | ModelRow | DatasetRow) -> None:
    """Delete the results that go with a row: a model's current results stay as long as it does."""
    if isinstance(row, JobRow):
        of_job = JobResultRow.job_id == row.id
        session.execute(delete(JobResultRow).where(of_job, JobResultRow.model_id.is_(None)))
    elif isinstance(row, ModelRow):
        _release(session, JobResultRow.model_id == row.id)
