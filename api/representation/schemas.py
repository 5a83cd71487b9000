"""What a caller reads back. What a caller sends is core.jobspec itself, or one of the small bodies at the end."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from core.errors import FailureClass
from core.jobspec.data import ClassName, DatasetDescription, Reading
from core.jobspec.network import ModelDescription, Network
from core.jobspec.resolved import JobSpec, ResolvedSpec
from core.jobspec.status import Phase, Status
from core.jobspec.sweep import SweepSpec
from core.store.keys import Scope


class ResponseBody(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


@lru_cache(maxsize=2**14)
def rfc3339(milliseconds: int | str | None) -> str | None:
    """Milliseconds since the epoch -> 2026-01-31T12:34:56.789Z."""
    if not isinstance(milliseconds, int):
        return milliseconds
    return (
        datetime.fromtimestamp(milliseconds / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


Time = Annotated[str, BeforeValidator(rfc3339), Field(json_schema_extra={"format": "date-time"})]

Item = TypeVar("Item")


class Page(ResponseBody, Generic[Item]):
    data: list[Item]
    has_more: bool
    next_cursor: str | None
    """Send it as `after` for the next page."""
    total: int | None = None
    """Only with `include_total=true`."""


class FieldProblem(ResponseBody):
    path: list[str | int]
    message: str


class Problem(ResponseBody):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    """Stable, for programs."""
    param: str | None = None
    """Path of the first field that is wrong."""
    request_id: str
    errors: list[FieldProblem] = []


class JobProgress(ResponseBody):
    phase: Phase | None = None
    step: int | None = None
    """Training steps; units of the measure's own while evaluating."""
    of: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    network: str | None = None
    """While evaluating: which one is measured, and how."""
    measure: str | None = None
    eta_seconds: float | None = None


class Failure(ResponseBody):
    code: str
    failure_class: FailureClass = Field(serialization_alias="class", validation_alias="class")
    message: str
    retryable: bool
    attempt: int


class StatusChange(ResponseBody):
    status: Status
    at: Time
    reason: str | None


class JobSummaryResponse(ResponseBody):
    """A job as lists show it."""

    id: str
    kind: Literal[
        "distillation", "adversarial_training", "evaluation", "import_model", "import_dataset"
    ]
    name: str | None
    metadata: dict[str, str]
    status: Status
    terminal: bool
    phase: Phase | None
    progress: JobProgress | None
    pending_reason: str | None
    """Why a queued job waits, beyond its turn, or a paused one; that no worker can take it is said for a single job only."""
    attempt: int
    worker: str | None
    student: str | None
    """Architecture."""
    method: str | None
    dataset: str | None
    """As it was named at submission."""
    dataset_id: str | None
    teacher_id: str | None
    results: dict[str, dict[str, float]] | None
    """By network (best, last; model, of an evaluation) and measure, as far as measured: accuracies in [0, 1] (clean, pgd, cw,
    autoattack, held_out_robust), and numbers of analyses in units of their own."""
    failure: Failure | None
    model_id: str | None
    """The published student (the best checkpoint), ready to be a teacher."""
    sweep_id: str | None
    """The sweep that it is part of."""
    sweep_line: str | None
    """Its line in that one's table."""
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    deleted_at: Time | None = None
    """Only in the answer to a DELETE."""


class JobResponse(JobSummaryResponse):
    queue_position: int | None
    """1: next; null unless queued."""
    spec: JobSpec
    """Fully resolved."""
    status_history: list[StatusChange]


class Estimate(ResponseBody):
    """None where nothing is trained."""

    steps_per_epoch: int | None = None
    steps: int | None = None
    training_images: int | None = None
    held_out_images: int | None = None
    test_images: int
    student_parameters: int | None = None
    checkpoint_bytes: int | None = None
    network_passes: int
    """About how many forward passes of student or teacher on one image, over the whole job: the measure of its cost."""


class DryRunResponse(ResponseBody):
    """What POST /v1/jobs?dry_run=true answers: nothing is stored."""

    spec: ResolvedSpec
    """Fully resolved."""
    dataset_id: str
    teacher_id: str | None
    estimate: Estimate


class SweepSummaryResponse(ResponseBody):
    id: str
    name: str | None
    size: int
    """How many jobs it has."""
    jobs: dict[Status, int]
    """How many of them are in each state."""
    terminal: bool
    """Whether all of them have ended."""
    created_at: Time


class SweepResponse(SweepSummaryResponse):
    spec: SweepSpec
    """As it was sent; the jobs' own specs are fully resolved."""


class SweepDryRunJob(ResponseBody):
    line: str
    """Its line in the table."""
    title: str
    """Line and seed."""
    spec: ResolvedSpec
    """Fully resolved."""


class SweepDryRunResponse(ResponseBody):
    """What POST /v1/sweeps?dry_run=true answers: nothing is stored."""

    jobs: list[SweepDryRunJob]
    network_passes: int
    """Of all jobs: forward passes of one image through one network, the measure of the cost."""


class EventResponse(ResponseBody):
    seq: int
    type: str
    """status, phase, epoch, file, measured, resumed, note, imported, …"""
    at: Time
    attempt: int
    data: dict[str, Any]


class MetricSeries(ResponseBody):
    name: str
    points: list[tuple[int, float]]
    """(step, value), by step."""


class MetricsResponse(ResponseBody):
    series: list[MetricSeries]


class ArtifactResponse(ResponseBody):
    name: str
    kind: Literal["checkpoint", "weights", "report", "figure", "export"]
    size: int
    sha256: str
    media_type: str
    step: int | None
    created_at: Time
    url: str
    """Where to download it: this API's path."""


class ModelResponse(ResponseBody):
    id: str
    name: str
    status: Literal["awaiting_upload", "importing", "ready", "refused"]
    architecture: str
    description: ModelDescription
    parameters: int | None
    problem: dict[str, Any] | None
    """Why it was refused: code and detail."""
    report: dict[str, Any] | None
    """What the importer renamed and dropped."""
    source_job_id: str | None
    import_job_id: str | None
    size: int | None
    sha256: str | None
    created_at: Time
    deleted_at: Time | None = None
    """Only in the answer to a DELETE."""


class DatasetResponse(ResponseBody):
    id: str
    name: str
    status: Literal["awaiting_upload", "importing", "ready", "refused"]
    source: str
    description: DatasetDescription | None
    image_size: int | None = None
    """As it was asked for, like `classes` and `every`."""
    classes: list[ClassName] | None = None
    every: int | None = None
    problem: dict[str, Any] | None
    report: dict[str, Any] | None
    import_job_id: str | None
    size: int | None
    sha256: str | None
    created_at: Time
    deleted_at: Time | None = None
    """Only in the answer to a DELETE."""


class ArchitectureResponse(ResponseBody):
    name: str
    title: str
    channels: list[int]
    smallest_side: int
    features: int | None
    parameters_10_classes: int | None
    settings: dict[str, Any]
    """JSON Schema."""


class MethodResponse(ResponseBody):
    name: str
    kind: Literal["distillation", "adversarial_training"]
    summary: str
    settings: dict[str, Any]
    """JSON Schema."""


class WorkerResponse(ResponseBody):
    name: str
    version: str
    """Of the program."""
    protocol: int
    """It takes no job of a newer one."""
    slots: int
    """How many jobs it runs at a time, at most."""
    running: int
    """How many it holds now, of all projects."""
    draining: bool
    """It claims nothing until it is undrained."""
    trouble: str | None
    """Why it claims nothing though it is not draining."""
    alive: bool
    """It was seen within its lease."""
    started_at: Time
    seen_at: Time


class KeyResponse(ResponseBody):
    id: str
    name: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class NewKeyResponse(KeyResponse):
    secret: str | None
    """Shown once: null where the answer to a repeated request is replayed."""


class ProjectResponse(ResponseBody):
    id: str
    name: str
    created_at: Time


class NewProjectResponse(ProjectResponse):
    key: NewKeyResponse
    """Its first key, with every scope in it."""


class AuditLineResponse(ResponseBody):
    """A change, or a request that was refused."""

    id: str
    at: Time
    key_id: str | None
    """Null where no valid key was sent, and for what a worker refused."""
    action: str
    """Method and route, or the kind of import that a worker refused."""
    target: str | None
    """What it was about: an id, or the path where there is none."""
    status: int
    code: str | None
    """Of the problem document."""
    address: str | None
    """The caller's; of IPv6 the network."""
    request_id: str
    """Of an import: its job."""
    times: int
    """How many alike there had been within the hour: many refusals leave few lines."""


class Health(ResponseBody):
    status: Literal["ok"]


class Readiness(ResponseBody):
    status: Literal["ready"]
    database: Literal["ok"]
    objects: Literal["ok"]


# -- small bodies


class RequestBody(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class CreateKeyRequest(RequestBody):
    name: Name
    scopes: list[Scope] = Field(min_length=1, max_length=4)
    expires_in_days: int | None = Field(default=None, ge=1, le=3650)


class CreateProjectRequest(RequestBody):
    name: Name


class CreateModelRequest(RequestBody):
    """A network whose weights will be uploaded to /v1/models/{id}/content."""

    name: Name
    network: Network
    classes: int = Field(ge=2, le=100_000)
    channels: int = Field(default=3, ge=1, le=3)
    height: int = Field(default=32, ge=8, le=512)
    width: int = Field(default=32, ge=8, le=512)
    sha256: Sha256 | None = None
    """Of the file that will be uploaded; checked while it streams in."""


class CreateDatasetRequest(Reading):
    """A data set from the operator's data folder, one that the worker downloads, or (with neither) one whose archive
    will be uploaded to /v1/datasets/{id}/content."""

    name: Name
    folder: Name | None = None
    """Name of an entry in the operator's data folder."""
    download: Literal["cifar10", "cifar100"] | None = None
    sha256: Sha256 | None = None
    """Of the archive that will be uploaded; checked while it streams in."""
