"""What the service answers, as far as this client reads it. Fields that it does not know are kept, not refused."""

from typing import Any, Generic, Literal, TypeVar

from httpx2 import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from client.errors import UnexpectedAnswer
from core.jobspec.status import Phase, Status

Item = TypeVar("Item")
Read = TypeVar("Read", bound=BaseModel)


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


def read(kind: type[Read], response: Response) -> Read:
    """The answer's body. Raises UnexpectedAnswer for another one."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedAnswer(
            f"{response.url} did not answer as this service does; is DISTILL_URL right?"
        ) from error


class Page(Answer, Generic[Item]):
    data: list[Item]
    next_cursor: str | None = None


class JobProgress(Answer):
    phase: Phase | None = None
    step: int | None = None
    """Training steps, or attacked images while evaluating."""
    of: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    eta_seconds: float | None = None


class Failure(Answer):
    code: str
    failure_class: str = Field(alias="class")
    """user, infrastructure or timeout."""
    message: str


class Event(Answer):
    seq: int
    type: str
    """status, phase, epoch, file, measured, resumed, note, …"""
    at: str
    attempt: int
    data: dict[str, Any]


class Job(Answer):
    id: str
    kind: str
    name: str | None = None
    metadata: dict[str, str] = {}
    status: Status
    terminal: bool
    phase: Phase | None = None
    progress: JobProgress | None = None
    queue_position: int | None = None
    pending_reason: str | None = None
    attempt: int = 0
    worker: str | None = None
    spec: dict[str, Any] = {}
    """Fully resolved."""
    student: str | None = None
    method: str | None = None
    dataset: str | None = None
    teacher_id: str | None = None
    results: dict[str, dict[str, float]] | None = None
    """Accuracies in [0, 1] by network (best, last) and measure (clean, pgd, cw); as far as measured."""
    failure: Failure | None = None
    model_id: str | None = None
    """The published student."""
    sweep_id: str | None = None
    sweep_line: str | None = None
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None


class Estimate(Answer):
    """None where nothing is trained."""

    steps_per_epoch: int | None = None
    steps: int | None = None
    training_images: int | None = None
    held_out_images: int | None = None
    test_images: int
    student_parameters: int | None = None
    checkpoint_bytes: int | None = None
    network_passes: int


class DryRun(Answer):
    spec: dict[str, Any]
    """Fully resolved."""
    dataset_id: str
    teacher_id: str | None = None
    estimate: Estimate


class Sweep(Answer):
    id: str
    name: str | None = None
    size: int
    """How many jobs it has."""
    jobs: dict[str, int]
    """How many of them are in each state."""
    terminal: bool
    created_at: str
    spec: dict[str, Any] = {}


class SweptJob(Answer):
    title: str
    """Its line in the table, and its seed."""
    spec: dict[str, Any]
    """Fully resolved."""


class SweepDryRun(Answer):
    jobs: list[SweptJob]
    network_passes: int


class MetricSeries(Answer):
    name: str
    points: list[tuple[int, float]]
    """(step, value), by step."""


class Metrics(Answer):
    series: list[MetricSeries]


class Artifact(Answer):
    name: str
    kind: str
    """checkpoint, weights, report, model or dataset."""
    size: int
    sha256: str
    media_type: str
    step: int | None = None


class _Upload(Answer):
    id: str
    name: str
    status: Literal["awaiting_upload", "importing", "ready", "refused"]
    problem: dict[str, Any] | None = None
    """Why it was refused: code and detail."""
    report: dict[str, Any] | None = None
    import_job_id: str | None = None
    size: int | None = None
    sha256: str | None = None
    created_at: str


class Model(_Upload):
    architecture: str
    description: dict[str, Any]
    parameters: int | None = None
    source_job_id: str | None = None


class Dataset(_Upload):
    source: str
    image_size: int | None = None
    classes: list[str] | None = None
    every: int | None = None
    description: dict[str, Any] | None = None


class Architecture(Answer):
    name: str
    title: str
    channels: list[int]
    smallest_side: int
    features: int | None = None
    parameters_10_classes: int | None = None
    settings: dict[str, Any] = {}


class MethodInfo(Answer):
    name: str
    kind: str
    summary: str
    settings: dict[str, Any] = {}


class Worker(Answer):
    name: str
    version: str
    protocol: int
    slots: int
    running: int
    """How many jobs it holds."""
    draining: bool
    trouble: str | None = None
    """Why it claims nothing though it is not draining."""
    alive: bool
    started_at: str
    seen_at: str


class Key(Answer):
    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None = None
    last_used_at: str | None = None
    revoked_at: str | None = None


class NewKey(Key):
    secret: str | None
    """Shown once; None where the answer that had it was lost."""


class Project(Answer):
    id: str
    name: str
    created_at: str


class NewProject(Project):
    key: NewKey
    """Its first."""


class AuditLine(Answer):
    at: str
    action: str
    """Method and route."""
    target: str | None = None
    status: int
    code: str | None = None
    key_id: str | None = None
    address: str | None = None
    request_id: str
    times: int
    """How many alike there had been within the hour."""
