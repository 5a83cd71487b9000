"""How long jobs will take, for each kind of device that live workers have."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.representation.submission.dry_run import TimeEstimate
from api.submission.cost.rates import CostSettings, Prediction, Span, predict
from api.submission.prepare import PreparedJob
from core.hardware import Device
from core.jobspec.cost import passes
from core.jobspec.cost.settings import settings_sha256, time_settings
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec
from core.store.database.tables import JobCostRow
from core.store.estimates import job_costs
from core.store.workers import WorkerState


@dataclass(frozen=True)
class DeviceWorkers:
    """Live workers with the same kind of device."""

    device: Device
    names: list[str]


def devices_of(workers: Sequence[WorkerState]) -> list[DeviceWorkers]:
    """Group live workers by their device; those that do not report it are left out."""
    groups: dict[Device, list[str]] = {}
    for worker in workers:
        if worker.alive and worker.hardware is not None:
            groups.setdefault(worker.hardware.device, []).append(worker.row.name)
    return [DeviceWorkers(device, names) for device, names in groups.items()]


class JobTimes:
    """Estimates times of jobs, and reads the finished jobs of each architecture once."""

    def __init__(self, session: Session, project_id: str, workers: Sequence[WorkerState]) -> None:
        self.session = session
        self.project_id = project_id
        self.devices = devices_of(workers)
        self._rows: dict[tuple[str, str], Sequence[JobCostRow]] = {}

    def estimate(
        self, job: PreparedJob, model: ModelDescription, teacher: ModelDescription | None
    ) -> list[TimeEstimate]:
        """``model``: the student, or the evaluated model; ``teacher``: or its reference."""
        settings = cost_settings(job, self.project_id, model, teacher)
        return [
            describe_time(group, settings, self._predict(group.device, settings))
            for group in self.devices
        ]

    def _predict(self, device: Device, settings: CostSettings) -> Prediction | None:
        if device.name is None:
            return None
        key = (device.name, settings.architecture)
        if key not in self._rows:
            self._rows[key] = job_costs.latest(self.session, *key)
        return predict(settings, self._rows[key])


def cost_settings(
    job: PreparedJob, project_id: str, model: ModelDescription, teacher: ModelDescription | None
) -> CostSettings:
    spec = job.spec
    images = passes.used_test_images(spec.evaluation, job.dataset)
    teacher_network = None if teacher is None else teacher.network
    settings = time_settings(spec, job.dataset)
    has_last_student = not isinstance(spec, ResolvedEvaluationJobSpec) and spec.schedule.epochs > 1
    return CostSettings(
        project_id=project_id,
        architecture=model.network.architecture,
        student=model.network.model_dump(mode="json"),
        teacher=None if teacher_network is None else teacher_network.model_dump(mode="json"),
        settings_sha256=settings_sha256(spec, job.dataset_id, model.network, teacher_network),
        time=settings,
        attack_passes=passes.attack_passes(spec.evaluation, images),
        analysis_passes=passes.analysis_passes(spec.evaluation, images),
        evaluations=2 if has_last_student else 1,
    )


def describe_time(
    group: DeviceWorkers, settings: CostSettings, prediction: Prediction | None
) -> TimeEstimate:
    """Return the estimate of one job on one kind of device."""
    device = group.device.name or group.device.kind
    if prediction is None:
        sentence = f"Unknown yet on {device}: no job like this one has finished there."
        return _unknown_time(group, sentence)
    span = prediction.seconds
    jobs = f"{prediction.jobs} finished job{'s' if prediction.jobs > 1 else ''}"
    facts = f"{settings.architecture}, {settings.time.precision}"
    if prediction.has_same_settings:
        facts = "the same settings"
    based_on = f"{jobs} on {device}, {facts}"
    return TimeEstimate(
        device=group.device,
        workers=group.names,
        seconds=round(span.middle, 1),
        low=round(span.low, 1),
        high=round(span.high, 1),
        n=prediction.jobs,
        based_on=based_on,
        sentence=f"{describe_span(span)} on {device}, from {jobs} ({facts}).",
    )


def _unknown_time(group: DeviceWorkers, sentence: str) -> TimeEstimate:
    return TimeEstimate(
        device=group.device,
        workers=group.names,
        seconds=None,
        low=None,
        high=None,
        n=0,
        based_on=None,
        sentence=sentence,
    )


def add_times(
    devices: Sequence[DeviceWorkers], jobs: Sequence[Sequence[TimeEstimate]]
) -> list[TimeEstimate]:
    """Return the sum over all jobs of a sweep, one after the other, for each kind of device."""
    totals = []
    for position, group in enumerate(devices):
        estimates = [times[position] for times in jobs]
        unknown = sum(estimate.seconds is None for estimate in estimates)
        device = group.device.name or group.device.kind
        if unknown:
            sentence = f"Unknown yet on {device}, for {unknown} of {len(estimates)} jobs."
            totals.append(_unknown_time(group, sentence))
            continue
        span = Span(
            sum(estimate.low or 0.0 for estimate in estimates),
            sum(estimate.seconds or 0.0 for estimate in estimates),
            sum(estimate.high or 0.0 for estimate in estimates),
        )
        totals.append(
            TimeEstimate(
                device=group.device,
                workers=group.names,
                seconds=round(span.middle, 1),
                low=round(span.low, 1),
                high=round(span.high, 1),
                n=min(estimate.n for estimate in estimates),
                based_on=estimates[0].based_on if len(set(_bases(estimates))) == 1 else None,
                sentence=f"{describe_span(span)} on {device}, one job after the other.",
            )
        )
    return totals


def _bases(estimates: Sequence[TimeEstimate]) -> list[str | None]:
    return [estimate.based_on for estimate in estimates]


def describe_span(span: Span) -> str:
    """Return the beginning of a sentence: About 12 min (10 min to 15 min)."""
    low, middle, high = map(describe_seconds, (span.low, span.middle, span.high))
    return f"About {middle} ({low} to {high})"


def describe_seconds(seconds: float) -> str:
    """Return a duration in its largest units: 40 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 120:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left} h"
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min"
