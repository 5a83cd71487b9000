"""Jobs, and what attempts at them have left."""

from typing import Any, Literal

from pydantic import Field

from distill_client.responses.base import Editable, ResponseModel
from distill_client.responses.measures import Interval, Measure

JobStatus = Literal[
    "queued", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"
]
JobPhase = Literal["preparing", "training", "evaluating", "exporting"]
AttemptOutcome = Literal["succeeded", "failed", "paused", "cancelled", "released", "lost"]
LogStream = Literal["stdout", "stderr", "supervisor"]

TERMINAL_STATUSES: frozenset[JobStatus] = frozenset({"cancelled", "succeeded", "failed"})
"""A job leaves these only when a user retries it."""


class JobProgress(ResponseModel):
    """How far a running job is."""

    phase: JobPhase | None = None
    step: int | None = None
    """Training steps; while evaluating, images or another unit of the measure."""
    of: int | None = None
    """The total of ``step``."""
    epoch: int | None = None
    epochs: int | None = None
    eta_seconds: float | None = None


class Failure(ResponseModel):
    """Why a job failed."""

    code: str
    failure_class: str = Field(alias="class")
    """user, infrastructure or timeout."""
    message: str
    advice: str | None = None
    """What to do about it."""


class LogSummary(ResponseModel):
    """The size of a log, of which very long ones lack the middle."""

    lines: int
    """The number of lines that were written."""
    bytes: int


class Attempt(ResponseModel):
    """One attempt at a job."""

    number: int
    worker: str | None = None
    started_at: str
    ended_at: str | None = None
    outcome: AttemptOutcome | None = None
    """None while it goes on. failed: also where the job was tried again; released: its worker was
    shut down; lost: its worker was not heard of any more."""
    failure: Failure | None = None
    """What went wrong in it, whether or not the job was tried again."""
    log: LogSummary | None = None


class LogLine(ResponseModel):
    """One line of an attempt's log. Where numbers are missing, lines were left out."""

    seq: int
    """The number of the line in its attempt."""
    at: str
    stream: LogStream
    """stdout and stderr of the trainer; supervisor: what its worker noted about the attempt."""
    text: str
    attempt: int


class JobWarning(ResponseModel):
    """Something that has gone wrong, though the job went on."""

    code: str
    message: str
    at: str


class Event(ResponseModel):
    """One entry of a job's event log."""

    seq: int
    type: str
    """status, phase, epoch, file, measured, resumed, note, warning, …"""
    at: str
    attempt: int
    data: dict[str, Any]


class Job(Editable):
    """A job. Lists leave out ``spec``, ``queue_position`` and ``notes``."""

    id: str
    kind: str
    name: str | None = None
    status: JobStatus
    terminal: bool
    phase: JobPhase | None = None
    progress: JobProgress | None = None
    queue_position: int | None = None
    pending_reason: str | None = None
    """Why a queued job waits beyond its turn, or why a job is paused."""
    warnings: list[JobWarning] = []
    attempt: int = 0
    worker: str | None = None
    spec: dict[str, Any] = {}
    """Fully resolved."""
    student: str | None = None
    """The student's architecture."""
    method: str | None = None
    dataset: str | None = None
    teacher_id: str | None = None
    results: dict[str, dict[str, float]] | None = None
    """By network (best, last; model, of an evaluation) and the measure's key, such as
    pgd-20@linf:8/255, as far as measured: accuracies in [0, 1], and numbers of analyses in their
    own units."""
    intervals: dict[str, dict[str, Interval]] = {}
    """By network and key: on how many images each accuracy was measured, and its interval."""
    deciding: list[str] = []
    """Keys of the results that decide how robust it is: under each threat model the strongest
    attack, that of the training first."""
    measures: dict[str, Measure] = {}
    """What each key of the results says; {} in lists of jobs."""
    failure: Failure | None = None
    model_id: str | None = None
    """The published student."""
    sweep_id: str | None = None
    sweep_line: str | None = None
    """The job's line in the sweep's table."""
    cloned_from: str | None = None
    """The job whose spec it was made from."""
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    deleted_at: str | None = None


class JobCounts(ResponseModel):
    """How many jobs match the filters of a list."""

    total: int
    statuses: dict[JobStatus, int]


class MetricSeries(ResponseModel):
    """One metric over the training."""

    name: str
    points: list[tuple[int, float]]
    """(step, value), by step."""


class Metrics(ResponseModel):
    """A job's training metrics."""

    series: list[MetricSeries]


class JobSeries(ResponseModel):
    """Some metrics of one of several jobs."""

    job_id: str
    series: list[MetricSeries]
    """Those that the job has."""


class ComparedMetrics(ResponseModel):
    """The same metrics of several jobs."""

    jobs: list[JobSeries]
    """In the order of the request."""


class Artifact(ResponseModel):
    """A file that a job has published."""

    name: str
    kind: str
    """checkpoint, weights, report, figure or export."""
    size: int
    """In bytes."""
    sha256: str
    media_type: str
    step: int | None = None
