"""The estimates of a dry run, of one job or of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from api.representation.submission.dry_run import (
    Estimate,
    MemoryEstimate,
    SweepEstimate,
    TimeEstimate,
)
from api.submission.cost.memory_estimate import describe_memory, memory_request
from api.submission.cost.queue_estimate import estimate_queue
from api.submission.cost.time_estimate import JobTimes, add_times
from api.submission.estimate import estimate_cost
from api.submission.prepare import PreparedJob
from core.jobspec.cost.memory import MemoryRequest
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec
from core.store import jobs, workers
from core.store.database.clock import database_now
from core.store.database.engine import read_session
from core.store.database.tables import MemoryEstimateRow, ModelRow
from core.store.estimates import memory_estimates
from core.store.registry import models, uploaded_items


@dataclass(frozen=True)
class JobEstimates:
    """What is estimated of one job."""

    time: list[TimeEstimate]
    request: MemoryRequest


def estimate_job(engine: Engine, project_id: str, job: PreparedJob) -> Estimate:
    """Estimate one job, and ask the workers for its memory where that is not known."""
    sweep = estimate_sweep(engine, project_id, [job])
    return Estimate(
        **estimate_cost(job).model_dump(), time=sweep.time, memory=sweep.memory, queue=sweep.queue
    )


def estimate_sweep(
    engine: Engine, project_id: str, prepared: Sequence[PreparedJob]
) -> SweepEstimate:
    """Estimate all jobs together, and ask the workers for memory that is not known."""
    with read_session(engine) as session:
        states = workers.list_workers(session)
        times = JobTimes(session, project_id, states)
        descriptions = _Descriptions(session, project_id)
        estimates = [_estimate(job, times, descriptions) for job in prepared]
        requests = {estimate.request.key(): estimate.request for estimate in estimates}
        rows = memory_estimates.find(session, list(requests))
        queued = jobs.count_queued(session)
        now = session.scalars(select(database_now())).one()
    unknown = {
        key: request.model_dump(mode="json") for key, request in requests.items() if key not in rows
    }
    memory_estimates.enqueue(engine, unknown)
    memory_estimates.touch(engine, list(rows.values()), now)
    time = [estimate.time for estimate in estimates]
    return SweepEstimate(
        time=time[0] if len(time) == 1 else add_times(times.devices, time),
        memory=_largest(list(requests), rows, states),
        queue=estimate_queue(queued, states),
    )


def _estimate(job: PreparedJob, times: JobTimes, descriptions: "_Descriptions") -> JobEstimates:
    model, teacher = descriptions.of(job)
    return JobEstimates(times.estimate(job, model, teacher), memory_request(job, model, teacher))


class _Descriptions:
    """Reads descriptions of stored models, each once."""

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.project_id = project_id
        self._by_id: dict[str, ModelDescription] = {}

    def of(self, job: PreparedJob) -> tuple[ModelDescription, ModelDescription | None]:
        """Return student and teacher, or the evaluated model and its reference."""
        teacher = None if job.teacher_id is None else self._find(job.teacher_id)
        if isinstance(job.spec, ResolvedEvaluationJobSpec):
            return self._find(job.spec.model), teacher
        student = ModelDescription(
            network=job.spec.student,
            classes=job.dataset.classes,
            channels=job.dataset.channels,
            height=job.dataset.height,
            width=job.dataset.width,
        )
        return student, teacher

    def _find(self, model_id: str) -> ModelDescription:
        if model_id not in self._by_id:
            row = uploaded_items.get(self.session, ModelRow, self.project_id, model_id)
            self._by_id[model_id] = models.describe(row)
        return self._by_id[model_id]


def _largest(
    keys: Sequence[str],
    rows: dict[str, MemoryEstimateRow],
    states: Sequence[workers.WorkerState],
) -> MemoryEstimate:
    """Return the estimate of the job that needs the most; what is not known may be more."""
    estimates = [describe_memory(rows.get(key), states) for key in keys]
    for status in ("pending", "unavailable"):
        for estimate in estimates:
            if estimate.status == status:
                return estimate
    return max(estimates, key=lambda estimate: estimate.bytes or 0)
