"""What a job that has succeeded cost, from its spec and its trainer's summary."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy import select

from core.hardware import DeviceKind
from core.jobspec.cost import passes
from core.jobspec.cost.settings import settings_sha256, time_settings
from core.jobspec.data import DatasetDescription
from core.jobspec.network import Network
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedSpec
from core.store.database.clock import database_now
from core.store.database.fence import FencedSession
from core.store.database.tables import DatasetRow, JobCostRow, JobRow, ModelRow
from core.store.estimates import job_costs
from core.store.registry import datasets, models


class MeasuredCost(BaseModel):
    """The part ``cost`` of a trainer's summary. Trainers of earlier releases have none."""

    device: DeviceKind
    device_name: str
    seconds: dict[str, float]
    """By phase, over all attempts."""
    networks: int
    """That were evaluated under the attacks."""
    measures: dict[str, float]
    """Seconds by kind of measure, over all networks."""


def record_cost(
    session: FencedSession, job: JobRow, spec: ResolvedSpec, summary: dict[str, Any]
) -> None:
    """Record what a job has cost that is about to succeed, as far as its trainer has measured it.

    It is only for estimates, and never fails a job.
    """
    dataset = session.get(DatasetRow, job.dataset_id or "")
    model_id = spec.model if isinstance(spec, ResolvedEvaluationJobSpec) else None
    model = None if model_id is None else session.get(ModelRow, model_id)
    teacher = None if job.teacher_id is None else session.get(ModelRow, job.teacher_id)
    student = None
    if not isinstance(spec, ResolvedEvaluationJobSpec):
        student = spec.student
    elif model is not None:
        student = models.describe(model).network
    if dataset is None or dataset.description is None or student is None:
        return
    cost = job_cost(
        job,
        spec,
        datasets.describe(dataset),
        (student, None if teacher is None else models.describe(teacher).network),
        summary,
        _wall_seconds(session, job),
    )
    if cost is not None:
        job_costs.record(session, cost)


def _wall_seconds(session: FencedSession, job: JobRow) -> float | None:
    if job.attempt > 1 or job.started_at is None:
        return None
    return (session.scalars(select(database_now())).one() - job.started_at) / 1000


def job_cost(
    job: JobRow,
    spec: ResolvedSpec,
    dataset: DatasetDescription,
    networks: tuple[Network, Network | None],
    summary: dict[str, Any],
    wall_seconds: float | None,
) -> JobCostRow | None:
    """Return the row; None where the trainer has not measured what the job cost.

    ``networks``: student and teacher, or the evaluated model and its reference. ``wall_seconds``:
    from the claim to now; None where that contains more than one attempt.
    """
    try:
        cost = MeasuredCost.model_validate(summary.get("cost"))
    except ValidationError:
        return None
    student, teacher = networks
    settings = time_settings(spec, dataset)
    phases_seconds = sum(cost.seconds.values())
    training_seconds = cost.seconds.get("training", 0.0)
    measured_seconds = sum(cost.measures.values())
    other_seconds = max(phases_seconds, wall_seconds or 0.0) - training_seconds - measured_seconds
    return JobCostRow(
        job_id=job.id,
        project_id=job.project_id,
        device_kind=cost.device,
        device_name=cost.device_name[:200],
        architecture=student.architecture,
        student=student.model_dump(mode="json"),
        teacher=None if teacher is None else teacher.model_dump(mode="json"),
        settings_sha256=settings_sha256(spec, job.dataset_id, student, teacher),
        **asdict(settings),
        training_seconds=training_seconds,
        evaluated_networks=cost.networks,
        measures=_measures(spec, dataset, cost),
        other_seconds=max(0.0, other_seconds),
    )


def _measures(
    spec: ResolvedSpec, dataset: DatasetDescription, cost: MeasuredCost
) -> dict[str, Any]:
    """Return passes and seconds by kind of measure."""
    images = passes.used_test_images(spec.evaluation, dataset)
    attacks = passes.attack_passes(spec.evaluation, images)
    counts = {name: count * cost.networks for name, count in attacks.items()}
    counts |= passes.analysis_passes(spec.evaluation, images)
    return {
        name: {"passes": counts[name], "seconds": seconds}
        for name, seconds in cost.measures.items()
        if name in counts
    }
