"""The service's responses, as far as this client reads them.

Unknown fields are kept, so that a newer service can be read. ``tests/client/test_responses.py``
compares every model with the component of the service's OpenAPI document that it mirrors.
"""

from typing import Any, Generic, Literal, TypeVar

from httpx2 import Response
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from distill_client.errors import UnexpectedResponse

ItemT = TypeVar("ItemT")
ModelT = TypeVar("ModelT", bound=BaseModel)

JobStatus = Literal[
    "queued", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"
]
JobPhase = Literal["preparing", "training", "evaluating", "exporting"]
AttemptOutcome = Literal["succeeded", "failed", "paused", "cancelled", "released", "lost"]
LogStream = Literal["stdout", "stderr", "supervisor"]
UploadStatus = Literal["awaiting_upload", "importing", "ready", "refused"]

TERMINAL_STATUSES: frozenset[JobStatus] = frozenset({"cancelled", "succeeded", "failed"})
"""A job leaves these only when a user retries it."""


class ResponseModel(BaseModel):
    """Base class of every response."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Editable(ResponseModel):
    """What can be edited: a job, a model or a data set."""

    metadata: dict[str, str] = {}
    notes: str | None = None
    """Markdown. Lists of jobs leave it out."""
    _etag: str | None = PrivateAttr(default=None)

    @property
    def etag(self) -> str | None:
        """For ``if_match`` of an edit; None for an item of a list."""
        return self._etag

    def set_etag(self, etag: str | None) -> None:
        self._etag = etag


def parse_response(model: type[ModelT], response: Response) -> ModelT:
    """Return the response's body as a ``model``. Raises UnexpectedResponse if it is not one."""
    try:
        parsed = model.model_validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedResponse(
            f"The response of {response.url} is not one of a distill service; "
            "is DISTILL_URL correct?"
        ) from error
    if isinstance(parsed, Editable):
        parsed.set_etag(response.headers.get("ETag"))
    return parsed


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


class ItemState(ResponseModel):
    """What a changed item is like, as far as a list shows it."""

    status: str | None = None
    """None for a sweep. Of a worker: ready, draining, trouble or lost."""
    name: str | None = None
    phase: JobPhase | None = None
    progress: JobProgress | None = None
    sweep_id: str | None = None
    version: int | None = None


class ProjectEvent(ResponseModel):
    """Something that has changed in the project."""

    seq: int
    type: str
    """job, sweep, model, dataset or worker."""
    id: str
    """Of the item; of a worker, its name."""
    change: str
    """created, status, phase, progress, results, changed, deleted or restored."""
    at: str
    data: ItemState


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


class Interval(ResponseModel):
    """The 95 % interval of an accuracy, with the images as a sample."""

    low: float
    high: float
    images: int


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


class Device(ResponseModel):
    """What the trainers of a worker compute on."""

    kind: str
    """cpu or cuda."""
    name: str | None = None


class TimeEstimate(ResponseModel):
    """How long a job would take on one kind of device that live workers have."""

    device: Device
    workers: list[str] = []
    seconds: float | None = None
    """None: no finished job tells."""
    low: float | None = None
    high: float | None = None
    n: int = 0
    """The finished jobs that it is learned from."""
    based_on: str | None = None
    sentence: str


class MemoryEstimate(ResponseModel):
    """How much device memory a job would need."""

    status: Literal["known", "pending", "unavailable"]
    """pending: a worker works it out; ask again in a few seconds."""
    bytes: int | None = None
    parts: dict[str, int] | None = None
    fits: list[str] | None = None
    """The live workers whose device has room for it; None if that is not known."""
    sentence: str


class QueueEstimate(ResponseModel):
    """How long a job would wait, if it was submitted now."""

    position: int
    workers: int
    sentence: str


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
    time: list[TimeEstimate] = []
    """For each kind of device; services of earlier versions send none, nor what follows."""
    memory: MemoryEstimate | None = None
    queue: QueueEstimate | None = None


class DryRun(ResponseModel):
    """The result of validating a job without submitting it."""

    spec: dict[str, Any]
    """Fully resolved."""
    dataset_id: str
    teacher_id: str | None = None
    estimate: Estimate
    warnings: list[str] = []
    """Reasons not to submit it as it is."""


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


class SweepEstimate(ResponseModel):
    """What the jobs of a sweep would take together."""

    time: list[TimeEstimate] = []
    """The sum over all jobs, one after the other, for each kind of device."""
    memory: MemoryEstimate
    """Of the job that needs the most."""
    queue: QueueEstimate


class SweepDryRun(ResponseModel):
    """The result of validating a sweep without submitting it."""

    jobs: list[SweepDryRunJob]
    network_passes: int
    """Forward passes of one image through one network, over all jobs."""
    estimate: SweepEstimate | None = None
    """None from services of earlier versions."""
    warnings: list[str] = []


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


class ThreatModelDescription(ResponseModel):
    """What an adversary may do: change an image within a ball."""

    norm: str
    radius: float
    title: str
    """L∞, 8/255."""


class AccuracyValue(ResponseModel):
    """An accuracy with its 95 % interval, of the images as a sample."""

    value: float
    low: float | None = None
    high: float | None = None
    images: int | None = None


class DifferenceValue(ResponseModel):
    """An accuracy less that of another network, adjusted with all comparisons of its section."""

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    verdict: str
    """higher, lower, not distinguishable, or not compared."""
    paired: bool
    """Whether the same images were counted under the same attack."""
    only_this: int | None = None
    """Images that only this network classifies correctly."""
    only_other: int | None = None
    note: str | None = None
    """Why the comparison is not paired."""


class ComparedSetting(ResponseModel):
    """A setting in which jobs differ."""

    path: str
    values: list[Any]
    """One for each job; None where it is not set."""


class ComparedSettings(ResponseModel):
    """The settings of compared jobs."""

    different: list[ComparedSetting]
    equal: int
    """The number of settings that are equal."""


class ComparedJob(ResponseModel):
    """A job of a comparison."""

    id: str
    name: str | None = None
    kind: str
    status: JobStatus
    method: str | None = None
    student: str | None = None
    model_id: str | None = None
    parameters: int | None = None


class ComparisonRow(ResponseModel):
    """One job's accuracies on a data set under a threat model."""

    job_id: str
    network: str
    results: dict[str, AccuracyValue]
    """By the measure's key."""
    differences: dict[str, DifferenceValue]
    """To the base job; {} for the base itself."""
    pareto: bool
    per_class: dict[str, list[float | None]] | None = None


class ComparisonSection(ResponseModel):
    """Jobs that were tested on one data set under one threat model."""

    dataset_id: str | None = None
    dataset: str | None = None
    threat_model: ThreatModelDescription | None = None
    """None under no attack."""
    deciding: str
    """Key of the strongest attack."""
    measures: list[str]
    descriptions: dict[str, Measure]
    comparisons: int
    rows: list[ComparisonRow]


class Comparison(ResponseModel):
    """Jobs beside each other."""

    base: str
    jobs: list[ComparedJob]
    settings: ComparedSettings
    sections: list[ComparisonSection]


class RankRange(ResponseModel):
    """The ranks that a model may have."""

    low: int
    high: int


class LeaderboardRow(ResponseModel):
    """A model of a leaderboard."""

    model_id: str
    name: str
    rank: RankRange | None = None
    """None where the section's deciding attack was not run on it."""
    results: dict[str, AccuracyValue]
    """By the measure's key."""
    deciding: str
    teacher_id: str | None = None
    difference: DifferenceValue | None = None
    """To its teacher."""
    architecture: str
    parameters: int | None = None
    method: str | None = None
    job_id: str | None = None
    measured_by: str | None = None


class LeaderboardSection(ResponseModel):
    """Models that were tested on one data set under one threat model."""

    dataset_id: str
    dataset: str
    threat_model: ThreatModelDescription | None = None
    deciding: str
    measures: list[str]
    descriptions: dict[str, Measure]
    rows: list[LeaderboardRow]
    compared: int
    """How many models the ranks are among."""
    has_more: bool


class Leaderboard(ResponseModel):
    """Models ranked by data set and threat model."""

    sections: list[LeaderboardSection]


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


class Upload(Editable):
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
    series: str = ""
    """The series of which it is a version."""
    series_version: int | None = None
    """None until it is ready."""
    aliases: list[str] = []
    results: dict[str, "ModelResult"] = {}
    """By the measure's key, as far as measured."""


class ModelResult(ResponseModel):
    """A model's current result of one key."""

    value: float
    low: float | None = None
    """Of the 95 % interval of an accuracy."""
    high: float | None = None
    images: int | None = None
    dataset_id: str | None = None
    job_id: str
    """The job that measured it."""


class LineageNode(ResponseModel):
    """A model, a job or a data set in a lineage."""

    id: str
    type: Literal["model", "job", "dataset"]
    name: str | None = None
    status: str | None = None
    """None for what has been deleted for good."""
    deleted: bool
    architecture: str | None = None
    """Of a model, or of a job's student."""
    parameters: int | None = None
    series: str | None = None
    series_version: int | None = None
    aliases: list[str] = []
    kind: str | None = None
    method: str | None = None
    dataset: str | None = None
    cloned_from: str | None = None
    results: dict[str, float] = {}
    """Accuracies on the test images, by measure key."""
    has_more: bool
    """Whether it has neighbors that are not in this graph."""


class LineageEdge(ResponseModel):
    """An input of a job, or a job's student."""

    source: str
    """Id of a node, like ``target``."""
    target: str
    role: str
    """teacher, reference, model, start_from, extra or student."""


class Lineage(ResponseModel):
    """What a model was made from, and what was made from it."""

    root: str
    """The model's id."""
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    cut: list[str]
    """generations or nodes, where that bound left something out."""


class Dataset(Upload):
    """Labeled images to train and test on."""

    source: str
    image_size: int | None = None
    """As requested, like ``classes`` and ``every``."""
    classes: list[str] | None = None
    every: int | None = None
    description: dict[str, Any] | None = None
    """None until it is imported."""
    images: int | None = None
    """How many of its images can be looked at."""


class DatasetImage(ResponseModel):
    """One image of a data set, as a part of a picture of many."""

    class_name: str = Field(alias="class")
    label: int
    """The position of its class, from 0."""
    split: str
    """train or test."""
    index: int
    """Its position among the training or the test images, from 0."""
    url: str
    """The picture's path at the service."""
    x: int
    """Where it begins in the picture, in pixels from the left."""
    y: int
    """In pixels from the top."""
    width: int
    """In pixels."""
    height: int


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


class ExampleJob(ResponseModel):
    """The job of one line of a sweep's table."""

    line: str
    spec: dict[str, Any]


class Example(ResponseModel):
    """A job or a sweep to start from."""

    name: str
    group: str
    """example, or paper: it makes a table or a figure of the STARSHIP paper."""
    endpoint: str
    """What `spec` is the body of: jobs or sweeps."""
    title: str
    description: str
    text: str
    """As YAML, with comments."""
    spec: dict[str, Any]
    jobs: list[ExampleJob] = []
    """Of a sweep: one job for each line of its table."""


# -- administration


class Gpu(ResponseModel):
    """A GPU of a worker's machine; None: not reported."""

    name: str
    memory_total: int | None = None
    """In bytes."""
    memory_used: int | None = None
    utilization: float | None = None
    """In [0, 1]."""
    temperature: int | None = None
    """In degrees Celsius."""
    driver: str | None = None


class Hardware(ResponseModel):
    """The machine of a worker at its last heartbeat; None: not reported."""

    device: Device
    gpus: list[Gpu] | None = None
    cores: int | None = None
    load: float | None = None
    """Processes that ran or waited, on average over the last minute."""
    memory_total: int | None = None
    """Of the host, in bytes."""
    memory_used: int | None = None
    scratch_free: int | None = None
    """Free space of the scratch folder, in bytes."""


class StorageTotal(ResponseModel):
    """Number and size of some stored files."""

    files: int
    bytes: int


class Storage(ResponseModel):
    """What a project stores, and the space that is left."""

    total: StorageTotal
    kinds: dict[str, StorageTotal]
    deleted: StorageTotal
    """Of deleted jobs, models and data sets, which can still be restored."""
    free_bytes: int | None = None
    """None if the files are in a bucket."""
    capacity_bytes: int | None = None


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
    hardware: Hardware | None = None
    """None if the worker does not report it."""


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


class Session(ResponseModel):
    """Who a client is: an API key, or a person who signed in through OIDC, and the project."""

    project_id: str
    project: str
    """The project's name."""
    key_name: str | None = None
    subject: str | None = None
    scopes: list[str]
    expires_at: str | None = None


class SignInToken(ResponseModel):
    """What signs a browser in to the dashboard, once."""

    token: str | None
    """Shown once; None if the response that contained it was lost."""
    expires_at: str


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
