"""Response bodies, and at the end the request bodies that ``core.jobspec`` does not define."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from core.errors import FailureClass
from core.hardware import Hardware
from core.jobspec.data import ClassName, DatasetDescription, ImportOptions
from core.jobspec.network import ModelDescription, Network, StateDictName
from core.jobspec.resolved import JobSpec
from core.jobspec.status import Phase, Status
from core.jobspec.sweep import SweepSpec
from core.reportspec.measures import Measure
from core.store.access.keys import Scope


class ResponseBody(BaseModel):
    """Base of all response bodies. The docstring below a field is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True)


@lru_cache(maxsize=2**14)
def rfc3339(milliseconds: int | str | None) -> str | None:
    """Format milliseconds since the epoch as 2026-01-31T12:34:56.789Z; text is returned as is."""
    if not isinstance(milliseconds, int):
        return milliseconds
    time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[str, BeforeValidator(rfc3339), Field(json_schema_extra={"format": "date-time"})]

Item = TypeVar("Item")
JobKind = Literal[
    "distillation", "adversarial_training", "evaluation", "import_model", "import_dataset"
]


class Page(ResponseBody, Generic[Item]):
    data: list[Item]
    has_more: bool
    next_cursor: str | None
    """Send it as `after` to get the next page."""
    total: int | None = None
    """Number of items on all pages; only with `include_total=true`."""


class FieldProblem(ResponseBody):
    path: list[str | int]
    message: str


class Problem(ResponseBody):
    """An error response: a problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    """Identifies the problem to programs; it does not change between versions."""
    param: str | None = None
    """Path of the first field that is wrong."""
    request_id: str
    errors: list[FieldProblem] = []


class JobProgress(ResponseBody):
    phase: Phase | None = None
    step: int | None = None
    """Training steps, or steps of the measure during an evaluation."""
    of: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    network: str | None = None
    """During an evaluation: the network that is being evaluated."""
    measure: str | None = None
    """During an evaluation: the measure that is being evaluated."""
    eta_seconds: float | None = None


class Failure(ResponseBody):
    code: str
    failure_class: FailureClass = Field(serialization_alias="class", validation_alias="class")
    message: str
    retryable: bool
    attempt: int
    advice: str | None = None
    """What to do about it."""


class StatusChange(ResponseBody):
    status: Status
    at: Time
    reason: str | None


class JobWarning(ResponseBody):
    """Something that has gone wrong, though the job went on."""

    code: str
    """diverged, loss_grown, no_better_than_guessing, analysis_failed, export_failed, figure_failed
    or document_failed."""
    message: str
    at: Time


class Interval(ResponseBody):
    """Wilson's 95 % interval of an accuracy, with the images as a sample."""

    low: float
    high: float
    images: int


class ModelResult(ResponseBody):
    """A model's current result of one key: of its results on the most images, the newest."""

    value: float
    low: float | None
    """Of Wilson's 95 % interval; null for a number that is no accuracy, and for results of earlier
    versions."""
    high: float | None
    images: int | None
    dataset_id: str | None
    job_id: str
    """The job that measured it: its training, or an evaluation of it."""


class JobSummaryResponse(ResponseBody):
    """A job in a list, without its spec and status history."""

    id: str
    kind: JobKind
    name: str | None
    metadata: dict[str, str]
    status: Status
    terminal: bool
    phase: Phase | None
    progress: JobProgress | None
    pending_reason: str | None
    """Why a queued job waits beyond its turn, or why a job is paused. Whether any worker can take
    it is only reported for a single job."""
    attempt: int
    worker: str | None
    student: str | None
    """Architecture of the student."""
    method: str | None
    dataset: str | None
    """Id or name, as in the submitted spec."""
    dataset_id: str | None
    teacher_id: str | None
    results: dict[str, dict[str, float]] | None
    """By network (best and last; model for an evaluation) and by the measure's key, as far as
    evaluated: accuracies in [0, 1], and findings of analyses in units of their own. A key names
    attack, steps or version, norm and radius: pgd-20@linf:8/255, autoattack@l2:0.5."""
    intervals: dict[str, dict[str, Interval]] = {}
    """By network and key like `results`: on how many images each accuracy was measured, and its
    interval. Results of earlier versions have none."""
    deciding: list[str] = []
    """Keys of the results that decide how robust the best network, or the evaluated model, is:
    under each threat model the strongest attack, AutoAttack where it was run. The training's threat
    model first."""
    failure: Failure | None
    model_id: str | None
    """The published student (the best checkpoint), which can be used as a teacher."""
    sweep_id: str | None
    """The sweep that the job belongs to."""
    sweep_line: str | None
    """The job's line in the table of the sweep."""
    cloned_from: str | None
    """The job whose spec it was made from, which may have been deleted."""
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    deleted_at: Time | None = None
    """In the response to a DELETE, and in lists with `deleted=true`."""


class JobResponse(JobSummaryResponse):
    queue_position: int | None
    """1 for the job that is next; null unless queued."""
    spec: JobSpec
    """With all defaults resolved. Its name and metadata are those of the submission, which may have
    been changed since."""
    notes: str | None
    """Markdown."""
    status_history: list[StatusChange]
    warnings: list[JobWarning]
    """Each as it happened; those that do not end the job are in its report, too."""
    measures: dict[str, Measure]
    """What each key of the results says: attack, norm, radius, steps or version, title and unit."""


class SweepSummaryResponse(ResponseBody):
    id: str
    name: str | None
    size: int
    """Number of jobs."""
    jobs: dict[Status, int]
    """Number of jobs by status."""
    terminal: bool
    """Whether all jobs have ended."""
    created_at: Time


class SweepResponse(SweepSummaryResponse):
    spec: SweepSpec
    """As submitted; the specs of its jobs have all defaults resolved."""


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
    """Pairs (step, value), in order of step."""


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
    """Path of this API from which to download it."""


class ModelResponse(ResponseBody):
    id: str
    name: str
    series: str
    """The series of which it is a version: the name of an upload, or of the job that trained it."""
    series_version: int | None
    """From 1; null until the model is ready. Refer to it as `series@version`."""
    aliases: list[str]
    """Refer to the version that has one as `series@alias`."""
    notes: str | None
    """Markdown."""
    metadata: dict[str, str]
    status: Literal["awaiting_upload", "importing", "ready", "refused"]
    architecture: str
    description: ModelDescription
    parameters: int | None
    problem: dict[str, Any] | None
    """Why the import was refused: code and detail."""
    state_dict: str | None = None
    """As requested."""
    report: dict[str, Any] | None
    """What the import loaded, renamed and dropped, the normalization, and remarks on what a person
    should check."""
    source_job_id: str | None
    """The job whose student it is."""
    results: dict[str, ModelResult] = {}
    """By the measure's key, as far as measured."""
    deciding: list[str] = []
    """Keys of the results that decide how robust it is: on each data set and under each threat
    model the strongest attack, AutoAttack where it was run."""
    import_job_id: str | None
    size: int | None
    sha256: str | None
    created_at: Time
    deleted_at: Time | None = None
    """In the response to a DELETE, and in lists with `deleted=true`."""


class DatasetResponse(ResponseBody):
    id: str
    name: str
    notes: str | None
    """Markdown."""
    metadata: dict[str, str]
    status: Literal["awaiting_upload", "importing", "ready", "refused"]
    source: str
    description: DatasetDescription | None
    image_size: int | None = None
    """As requested, like `classes` and `every`."""
    classes: list[ClassName] | None = None
    every: int | None = None
    problem: dict[str, Any] | None
    """Why the import was refused: code and detail."""
    report: dict[str, Any] | None
    """What the import says of it: layout, notes, images of each class, and ignored files, counted
    by reason, the first of them by name. None for a data set that no import has made ready."""
    images: int | None = None
    """Number of images at `/v1/datasets/{id}/images`, for people to look at. Null while the data
    set is not ready, and for one that an earlier version imported: import it again to see them."""
    import_job_id: str | None
    size: int | None
    sha256: str | None
    created_at: Time
    deleted_at: Time | None = None
    """In the response to a DELETE, and in lists with `deleted=true`."""


class ArchitectureResponse(ResponseBody):
    name: str
    title: str
    channels: list[int]
    smallest_side: int
    features: int | None
    parameters_10_classes: int | None
    """Number of parameters with 10 classes."""
    settings: dict[str, Any]
    """JSON Schema of the architecture's settings."""


class MethodResponse(ResponseBody):
    name: str
    kind: Literal["distillation", "adversarial_training"]
    summary: str
    settings: dict[str, Any]
    """JSON Schema of the method's settings."""


class WorkerResponse(ResponseBody):
    name: str
    version: str
    """Version of the program."""
    protocol: int
    """The worker claims no job of a newer protocol."""
    slots: int
    """Maximum number of jobs that it runs at a time."""
    running: int
    """Number of jobs that it runs now, of all projects."""
    draining: bool
    """Whether it has been told to claim no jobs."""
    trouble: str | None
    """Why it claims no jobs although it is not draining."""
    alive: bool
    """Whether its last heartbeat is more recent than its lease is long."""
    started_at: Time
    seen_at: Time
    """Time of its last heartbeat."""
    hardware: Hardware | None
    """Its machine at that time; null where the worker does not report it."""


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
    """The API key itself. It is shown once: null where the response is a replay of an earlier
    one."""


class ProjectResponse(ResponseBody):
    id: str
    name: str
    created_at: Time


class NewProjectResponse(ProjectResponse):
    key: NewKeyResponse
    """Its first API key, with the scopes read, submit and admin."""


class AuditEntryResponse(ResponseBody):
    """An entry of the audit log: a change, or a request that was refused."""

    id: str
    at: Time
    key_id: str | None
    """Null where no valid API key was sent, and for an import that a worker refused."""
    action: str
    """Method and route of the request, or the kind of import that a worker refused."""
    target: str | None
    """Id or name of what the request was about, or the path where it names nothing."""
    status: int
    code: str | None
    """Code of the problem document."""
    address: str | None
    """IP address of the caller; for IPv6 its /64 network."""
    request_id: str
    """For an import that a worker refused: the id of its job."""
    times: int
    """Number of equal refusals within the hour: only the 1st, 2nd, 4th, 8th … get an entry."""


class Health(ResponseBody):
    status: Literal["ok"]


class Readiness(ResponseBody):
    status: Literal["ready"]
    database: Literal["ok"]
    objects: Literal["ok"]


# -- request bodies


class RequestBody(BaseModel):
    """Base of request bodies: unknown fields and converted types are errors."""

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
    """Describes a model whose weights will be uploaded to /v1/models/{id}/content.

    It has a name, a series or both.
    """

    name: Name | None = None
    """A unique name; with a series it may be left out, and is made from the series."""
    series: Name | None = None
    """The series of which it will be the next version; by default that of its name."""
    network: Network
    classes: int = Field(ge=2, le=100_000)
    channels: int = Field(default=3, ge=1, le=3)
    height: int = Field(default=32, ge=8, le=512)
    width: int = Field(default=32, ge=8, le=512)
    state_dict: StateDictName | None = None
    """Which of several state dicts in the file to load, by its key, such as state_dict_ema or
    model.best. By default one that fits the network, raw weights before averages of them."""
    sha256: Sha256 | None = None
    """SHA-256 of the file that will be uploaded, checked as it arrives."""


class CreateDatasetRequest(ImportOptions):
    """A data set from the operator's data folder (`folder`), one that a worker downloads
    (`download`), or, with neither, one whose archive will be uploaded to
    /v1/datasets/{id}/content."""

    name: Name
    folder: Name | None = None
    """Name of an entry in the operator's data folder."""
    download: Literal["cifar10", "cifar100"] | None = None
    sha256: Sha256 | None = None
    """SHA-256 of the archive that will be uploaded, checked as it arrives."""
