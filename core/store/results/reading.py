"""Results for pages of lists, for comparisons and for leaderboards. All are the project's own."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.orm import Session, aliased, defer

from core.reportspec.accuracies import CLEAN, Accuracies, Accuracy, is_test_accuracy
from core.reportspec.leaderboard import RankedModel
from core.store.database.tables import JobResultRow, JobRow, ModelRow

MAX_KEYS = 2000
"""Keys of a project's results that a leaderboard looks at; each costs a look into an index."""


class Sample(NamedTuple):
    """On how many images an accuracy was measured, and its 95 % interval."""

    low: float
    high: float
    images: int


Samples = dict[str, dict[str, Sample]]
"""By network and key."""


def samples_of_jobs(session: Session, job_ids: Collection[str]) -> dict[str, Samples]:
    """Return the intervals of the jobs' accuracies, as far as they are known, in one query."""
    columns: list[Any] = [
        JobResultRow.job_id,
        JobResultRow.network,
        JobResultRow.key,
        JobResultRow.low,
        JobResultRow.high,
        JobResultRow.images,
    ]
    has_interval = JobResultRow.low.is_not(None)
    statement = select(*columns).where(JobResultRow.job_id.in_(job_ids), has_interval)
    samples: dict[str, Samples] = {}
    for job_id, network, key, low, high, images in session.execute(statement):
        networks = samples.setdefault(job_id, {})
        networks.setdefault(network, {})[key] = Sample(low, high, images)
    return samples


def values_of_models(
    session: Session, model_ids: Collection[str]
) -> dict[str, dict[str, JobResultRow]]:
    """Return the models' current results without masks, by model and key."""
    statement = select(JobResultRow).where(JobResultRow.model_id.in_(model_ids))
    rows: dict[str, dict[str, JobResultRow]] = {}
    for row in session.scalars(statement.options(*_without_masks())):
        rows.setdefault(str(row.model_id), {})[row.key] = row
    return rows


def _without_masks() -> Sequence[Any]:
    return (defer(JobResultRow.mask), defer(JobResultRow.per_class))


def accuracies_of_jobs(
    session: Session, job_ids: Collection[str], *, per_class: bool = False
) -> dict[str, dict[str, dict[str, Accuracy]]]:
    """Return the accuracies on test images with their masks, by job, network and key."""
    accuracies: dict[str, dict[str, dict[str, Accuracy]]] = {}
    statement = _select_accuracies(per_class).where(JobResultRow.job_id.in_(job_ids))
    for row in session.execute(statement):
        if is_test_accuracy(row.key):
            networks = accuracies.setdefault(row.job_id, {})
            networks.setdefault(row.network, {})[row.key] = _to_accuracy(row)
    return accuracies


def _select_accuracies(per_class: bool) -> Select[Any]:
    columns: list[Any] = [
        JobResultRow.job_id,
        JobResultRow.model_id,
        JobResultRow.network,
        JobResultRow.key,
        JobResultRow.value,
        JobResultRow.images,
        JobResultRow.low,
        JobResultRow.high,
        JobResultRow.image_set,
        JobResultRow.mask,
    ]
    return select(*columns, JobResultRow.per_class) if per_class else select(*columns)


def _to_accuracy(row: Row[Any]) -> Accuracy:
    fields = row._asdict()
    del fields["job_id"], fields["model_id"], fields["network"]
    return Accuracy(**fields)


# -- leaderboards


def keys_of_models(
    session: Session, project_id: str, dataset_id: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield each (data set, key) under which any model of the project has a current result.

    Every one costs a single step in an index, however many models there are.
    """
    columns = (JobResultRow.dataset_id, JobResultRow.key)
    last: tuple[str, str] | None = None
    for _ in range(MAX_KEYS):
        statement = select(*columns).where(
            JobResultRow.project_id == project_id,
            JobResultRow.model_id.is_not(None),
            JobResultRow.dataset_id.is_not(None),
        )
        if dataset_id is not None:
            statement = statement.where(JobResultRow.dataset_id == dataset_id)
        if last is not None:
            statement = statement.where(tuple_(*columns) > tuple_(*last))
        row = session.execute(statement.order_by(*columns).limit(1)).first()
        if row is None:
            return
        last = (str(row.dataset_id), row.key)
        yield last


def best_models(
    session: Session, project_id: str, dataset_id: str, key: str, limit: int
) -> list[str]:
    """Return the ids of the models with the highest values of a key, the highest first."""
    statement = (
        select(JobResultRow.model_id)
        .join(ModelRow, ModelRow.id == JobResultRow.model_id)
        .where(
            JobResultRow.project_id == project_id,
            JobResultRow.dataset_id == dataset_id,
            JobResultRow.key == key,
            JobResultRow.model_id.is_not(None),
            ModelRow.live(),
        )
        .order_by(JobResultRow.value.desc(), JobResultRow.model_id.desc())
        .limit(limit)
    )
    return [str(model_id) for model_id in session.scalars(statement)]


def ranked_models(
    session: Session, model_ids: Collection[str], dataset_id: str, keys: Collection[str]
) -> list[RankedModel]:
    """Return the models that have accuracies of these keys on one data set, with them."""
    source = aliased(JobRow)
    statement = (
        select(
            ModelRow.id,
            ModelRow.name,
            ModelRow.architecture,
            ModelRow.parameters,
            source.method,
            source.teacher_id,
            ModelRow.source_job_id.label("job_id"),
        )
        .outerjoin(source, source.id == ModelRow.source_job_id)
        .where(ModelRow.id.in_(model_ids))
    )
    accuracies = accuracies_of_models(session, model_ids, dataset_id, keys)
    return [
        RankedModel(
            **row._asdict(),
            accuracies={key: item for key, (item, _) in accuracies[row.id].items()},
            measured_by={key: job for key, (_, job) in accuracies[row.id].items()},
        )
        for row in session.execute(statement)
        if row.id in accuracies  # results may have moved to another job since they were listed
    ]


def accuracies_of_models(
    session: Session, model_ids: Collection[str], dataset_id: str, keys: Collection[str]
) -> dict[str, dict[str, tuple[Accuracy, str]]]:
    """Return the models' current accuracies and the job that measured each, by model and key."""
    statement = _select_accuracies(False).where(
        JobResultRow.model_id.in_(model_ids),
        JobResultRow.key.in_({CLEAN, *keys}),
        JobResultRow.dataset_id == dataset_id,
    )
    accuracies: dict[str, dict[str, tuple[Accuracy, str]]] = {}
    for row in session.execute(statement):
        accuracies.setdefault(row.model_id, {})[row.key] = (_to_accuracy(row), row.job_id)
    return accuracies


def without_jobs(
    accuracies: dict[str, dict[str, tuple[Accuracy, str]]],
) -> dict[str, Accuracies]:
    return {
        model_id: {key: accuracy for key, (accuracy, _) in items.items()}
        for model_id, items in accuracies.items()
    }
