"""The service's responses, as far as this client reads them.

Unknown fields are kept, so that a newer service can be read. ``tests/client/test_responses.py``
compares every model with the component of the service's OpenAPI document that it mirrors.
"""

from typing import Any, Generic, Literal, TypeVar

from httpx2 import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distill_client.errors import UnexpectedResponse

ItemT = TypeVar("ItemT")
ModelT = TypeVar("ModelT", bound=BaseModel)

JobStatus = Literal[
    "queued", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"
]
JobPhase = Literal["preparing", "training", "evaluating", "exporting"]
UploadStatus = Literal["awaiting_upload", "importing", "ready", "refused"]

TERMINAL_STATUSES: frozenset[JobStatus] = frozenset({"cancelled", "succeeded", "failed"})
"""A job leaves these only when a user retries it."""


class ResponseModel(BaseModel):
    """Base class of every response."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


def parse_response(model: type[ModelT], response: Response) -> ModelT:
    """Return the response's body as a ``model``. Raises UnexpectedResponse if it is not one."""
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedResponse(
            f"The response of {response.url} is not one of a distill service; "
            "is DISTILL_URL correct?"
        ) from error


class Page(ResponseModel, Generic[ItemT]):
    """One page of a list."""

    data: list[ItemT]
    next_cursor: str | None = None
    """The next page's ``after``; None on the last page."""


# -- jobs


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


class Measure(ResponseModel):
    """What a result's key says: the measure, the attack's settings and the threat model."""

    key: str
    name: str
    """The attack (pgd, cw, autoattack), clean, or the number of an analysis."""
    title: str
    """For people: "AutoAttack, L∞, 8/255"."""
    label: str
    """The title without the threat model."""
    unit: str
    """Of the value times `scale`."""
    scale: float
    accuracy: bool
    """Whether it is a share of all images, in [0, 1]."""
    norm: str | None = None
    """linf or l2; None without an attack."""
    radius: float | None = None
    """On pixels in [0, 1]; in L2, of the whole image."""
    steps: int | None = None
    """Of PGD or CW."""
    version: str | None = None
    """Of AutoAttack "standard", or what differs from it; of PGD and CW the settings that are not
    the usual ones."""
    run: int = 1
    """2 for the second of two equal attacks of a job."""

    @property
    def heading(self) -> str:
        """Title and unit: PGD-20, L∞, 8/255 %."""
        return f"{self.title} {self.unit}".rstrip()

    @property
    def is_test_robustness(self) -> bool:
        """Whether it is the accuracy on the test images under an attack of the spec."""
        return self.name in ("pgd", "cw", "autoattack") and self.norm is not None


class Job(ResponseModel):
    """A job. Lists leave out ``spec`` and ``queue_position``."""

    id: str
    kind: str
    name: str | None = None
    metadata: dict[str, str] = {}
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
    measures: dict[str, Measure] = {}
    """What each key of the results says; {} in lists of jobs."""
    failure: Failure | None = None
    model_id: str | None = None
    """The published student."""
    sweep_id: str | None = None
    sweep_line: str | None = None
    """The job's line in the sweep's table."""
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None


class Estimate(ResponseModel):
    """What a job would take; fields about training are None if nothing is trained."""

    steps_per_epoch: int | None = None
    steps: int | None = None
    training_images: int | None = None
    held_out_images: int | None = None
    test_images: int
    student_parameters: int | None = None
    checkpoint_bytes: int | None = None
    network_passes: int
    """Forward passes of one image through one network, over the whole job."""


class DryRun(ResponseModel):
    """The result of validating a job without submitting it."""

    spec: dict[str, Any]
    """Fully resolved."""
    dataset_id: str
    teacher_id: str | None = None
    estimate: Estimate


# -- sweeps


class Sweep(ResponseModel):
    """Many jobs that were submitted together. Lists leave out ``spec``."""

    id: str
    name: str | None = None
    size: int
    """The number of jobs."""
    jobs: dict[str, int]
    """The number of jobs by status."""
    terminal: bool
    """True once every job has ended."""
    created_at: str
    spec: dict[str, Any] = {}


class SweepDryRunJob(ResponseModel):
    """One job that a sweep would submit."""

    title: str
    """The job's line in the table, and its seed."""
    spec: dict[str, Any]
    """Fully resolved."""


class SweepDryRun(ResponseModel):
    """The result of validating a sweep without submitting it."""

    jobs: list[SweepDryRunJob]
    network_passes: int
    """Forward passes of one image through one network, over all jobs."""


class SweepCell(ResponseModel):
    """One measure over the seeds of a line."""

    mean: float
    sd: float | None
    """Standard deviation over the seeds (divided by n - 1); None for a single seed."""
    n: int


class SweepLine(ResponseModel):
    """One combination of a sweep's settings, over its seeds."""

    name: str
    jobs: int
    done: int
    """The jobs that have succeeded; the cells are means over these."""
    best: bool
    """True for the complete line with the highest robust accuracy on held-out images, of those
    that were validated under the same threat model."""
    cells: dict[str, SweepCell]
    """By the measure's key."""


class SweepTable(ResponseModel):
    """A sweep's results: a line for each combination of settings."""

    network: str
    """best: the epoch selected by held-out images; last: the last epoch; model: of evaluations."""
    measures: list[str]
    """The key of every measure that at least one line has; accuracies first, by threat model."""
    descriptions: dict[str, Measure]
    """What each key says."""
    lines: list[SweepLine]


# -- results


class MetricSeries(ResponseModel):
    """One metric over the training."""

    name: str
    points: list[tuple[int, float]]
    """(step, value), by step."""


class Metrics(ResponseModel):
    """A job's training metrics."""

    series: list[MetricSeries]


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


# -- models and data sets


class Upload(ResponseModel):
    """What models and data sets have in common."""

    id: str
    name: str
    status: UploadStatus
    problem: dict[str, Any] | None = None
    """Why the importer refused it: ``code`` and ``detail``."""
    report: dict[str, Any] | None = None
    """What the importer changed or left out."""
    import_job_id: str | None = None
    size: int | None = None
    """In bytes."""
    sha256: str | None = None
    created_at: str


class Model(Upload):
    """A network with weights: an uploaded teacher, or a job's student."""

    architecture: str
    description: dict[str, Any]
    parameters: int | None = None
    state_dict: str | None = None
    """The one of several in the file, as requested."""
    source_job_id: str | None = None
    """The job whose student it is."""


class Dataset(Upload):
    """Labeled images to train and test on."""

    source: str
    image_size: int | None = None
    """As requested, like ``classes`` and ``every``."""
    classes: list[str] | None = None
    every: int | None = None
    description: dict[str, Any] | None = None
    """None until it is imported."""


# -- the catalogue


class Architecture(ResponseModel):
    """A network architecture that the service can build."""

    name: str
    title: str
    channels: list[int]
    """The numbers of image channels that it accepts."""
    smallest_side: int
    """Of images, in pixels."""
    features: int | None = None
    parameters_10_classes: int | None = None
    """The number of parameters with 10 classes; None if it depends on the width."""
    settings: dict[str, Any] = {}
    """JSON Schema."""


class Method(ResponseModel):
    """A training method."""

    name: str
    kind: str
    """The kind of job that it trains in: distillation or adversarial_training."""
    summary: str
    settings: dict[str, Any] = {}
    """JSON Schema."""


# -- administration


class Worker(ResponseModel):
    """A worker process."""

    name: str
    version: str
    protocol: int
    slots: int
    """The number of jobs that it runs at a time, at most."""
    running: int
    """The number of jobs that it runs now."""
    draining: bool
    trouble: str | None = None
    """Why it claims no job although it is not draining."""
    alive: bool
    started_at: str
    seen_at: str


class Key(ResponseModel):
    """An API key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None = None
    last_used_at: str | None = None
    revoked_at: str | None = None


class NewKey(Key):
    """A new API key, with its secret."""

    secret: str | None
    """Shown once; None if the response that contained it was lost."""


class Project(ResponseModel):
    """A project of the installation."""

    id: str
    name: str
    created_at: str


class NewProject(Project):
    """A new project, with its first key."""

    key: NewKey


class AuditEntry(ResponseModel):
    """A change, or a refused request."""

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
    """How often the same request was refused within the hour."""
