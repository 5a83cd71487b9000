"""The tables.

Columns named ``…_at`` are times in milliseconds since the epoch, by the database's clock.

projects ─┬─ api_keys ── idempotency, sessions, sign_in_tokens
          ├─ sweeps ── jobs
          ├─ jobs ── labels, inputs, events, metrics, artifacts, job_results
          ├─ models ── aliases, job_results
          ├─ series (of models)
          ├─ datasets (without a project: for everyone) ── thumbnail_sheets
          └─ audit
search_words (of jobs, models and data sets)
project_events, project_event_log
workers
"""

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.jobspec.status import PROTOCOL, Outcome, Status
from core.store.database.clock import database_now

DEFAULT_PROJECT = "prj_default"
DIGITS_ID = "ds_digits"

LIVE = text("deleted_at IS NULL")
DELETED = text("deleted_at IS NOT NULL")
OF_MODEL = text("model_id IS NOT NULL")
HAS_RESULTS = text("results IS NOT NULL")
WITH_RESULTS: dict[str, Any] = {"sqlite_where": HAS_RESULTS, "postgresql_where": HAS_RESULTS}
ONLY_OF_MODELS: dict[str, Any] = {"sqlite_where": OF_MODEL, "postgresql_where": OF_MODEL}
UNNUMBERED = text("seq IS NULL")
IS_SUPERSEDED = text("change IN ('progress', 'changed')")
"""Project events of which only the newest of an item is kept."""
Id = String(64)
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Word = String(64).with_variant(String(64, collation="C"), "postgresql")
"""Sorted by code points in both databases, so that the words with one beginning are a range."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        float: Double,
        dict[str, Any]: Json,
        list[str]: Json,
        list[float | None]: Json,
    }
    # Times that the database sets must be readable after the session is closed.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012


class Deletable:
    """Rows that are hidden when they are deleted, and removed by the collector some days later."""

    noun: ClassVar[str]
    """What messages call one of these rows."""
    deleted_at: Mapped[int | None] = mapped_column()

    @classmethod
    def live(cls) -> ColumnElement[bool]:
        """Return a condition: the row is not deleted."""
        return cls.deleted_at.is_(None)


class Editable:
    """Rows whose name, notes and metadata a caller can change. Their column ``labels`` is the
    metadata.
    """

    notes: Mapped[str | None] = mapped_column()
    """Markdown."""
    edits: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often a caller has changed name, notes or metadata."""


class ProjectRow(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[int] = mapped_column(default=database_now())


class ApiKeyRow(Base):
    """An API key. Of its secret only the SHA-256 is stored."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(200))
    scopes: Mapped[list[str]]
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[int] = mapped_column(default=database_now())
    expires_at: Mapped[int | None]
    revoked_at: Mapped[int | None]
    last_used_at: Mapped[int | None]


class SessionRow(Base):
    """A signed-in browser. Of the token in its cookie only the SHA-256 is stored."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    """The API key that it was begun with, and ends with; None for one through OIDC."""
    subject: Mapped[str | None] = mapped_column(String(200))
    """Who signed in through OIDC."""
    scopes: Mapped[list[str] | None]
    """None for a session that has those of its key."""
    created_at: Mapped[int] = mapped_column(default=database_now())
    expires_at: Mapped[int] = mapped_column(index=True)
    last_used_at: Mapped[int] = mapped_column(default=database_now())


class SignInTokenRow(Base):
    """A one-time token that begins a session of its API key."""

    __tablename__ = "sign_in_tokens"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    created_at: Mapped[int] = mapped_column(default=database_now())
    expires_at: Mapped[int] = mapped_column(index=True)


class SweepRow(Base):
    """Jobs that were submitted together."""

    __tablename__ = "sweeps"
    __table_args__ = (Index(None, "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str | None] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]]
    """A ``core.jobspec.sweep.SweepSpec``, as it was sent."""
    size: Mapped[int]
    """Number of jobs."""
    created_at: Mapped[int] = mapped_column(default=database_now())


class JobRow(Editable, Deletable, Base):
    noun = "job"
    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "project_id", "created_at", "id"),
        Index(None, "project_id", "status", "created_at", "id"),
        Index("ix_jobs_with_results", "project_id", "status", "created_at", "id", **WITH_RESULTS),
        Index(None, "project_id", "kind", "created_at", "id"),
        Index(None, "project_id", "method", "created_at", "id"),
        Index(None, "project_id", "student", "created_at", "id"),
        Index(None, "project_id", "dataset_id", "created_at", "id"),
        Index(None, "status", "created_at", "id"),
        Index(None, "sweep_id", "sweep_index"),
        Index(None, "deleted_at", sqlite_where=DELETED, postgresql_where=DELETED),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str | None] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]]
    student: Mapped[str | None] = mapped_column(String(64))
    """The student's architecture; None for imports."""
    method: Mapped[str | None] = mapped_column(String(64))
    dataset: Mapped[str | None] = mapped_column(String(200))
    """The data set's id or name, as the caller gave it."""
    dataset_id: Mapped[str | None] = mapped_column(Id)
    teacher_id: Mapped[str | None] = mapped_column(Id)
    """Like ``dataset_id`` no foreign key: a job that has ended outlives its inputs."""
    labels: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    """The caller's metadata. The table ``labels`` is its index."""
    sweep_id: Mapped[str | None] = mapped_column(ForeignKey("sweeps.id"))
    sweep_index: Mapped[int | None]
    """Its position among the sweep's jobs, from 0."""
    sweep_line: Mapped[str | None] = mapped_column(String(500))
    """The line of the sweep's table that it belongs to."""
    cloned_from: Mapped[str | None] = mapped_column(Id)
    """The job whose spec it was made from; that job may be gone."""

    status: Mapped[Status] = mapped_column(String(16))
    phase: Mapped[str | None] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(default=0)
    """The fencing token. Every claim raises it; holders of an older number can write nothing."""
    infrastructure_failures: Mapped[int] = mapped_column(default=0)
    timeouts: Mapped[int] = mapped_column(default=0, server_default="0")
    memory_failures: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often its trainer has run out of memory."""
    protocol: Mapped[int] = mapped_column(default=PROTOCOL, server_default="1")
    """Protocol of the program that stored it; workers of an older protocol do not claim it."""
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[int | None]
    not_before: Mapped[int | None]
    """Time, as in columns ``…_at``, before which no attempt begins."""
    pending_reason: Mapped[str | None]
    cancel_requested_at: Mapped[int | None]
    progress: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    results: Mapped[dict[str, Any] | None]
    """``{"best": {"clean": …, "pgd-20@linf:8/255": …}, "last": {…}}``."""
    model_id: Mapped[str | None] = mapped_column(Id)
    """The published student."""

    event_seq: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)
    """The ETag: raised by every change that a caller can see."""
    created_at: Mapped[int] = mapped_column(default=database_now())
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]


class JobLabelRow(Base):
    """One entry of a job's metadata, for queries by label."""

    __tablename__ = "labels"
    __table_args__ = (Index(None, "project_id", "key", "value", "created_at", "job_id"),)

    project_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(200), primary_key=True)
    job_id: Mapped[str] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[int]
    """Copy of the job's ``created_at``, so that the index yields a label's jobs in list order."""


class JobInputRow(Base):
    """One model or extra data set that a job reads, for lineage."""

    __tablename__ = "job_inputs"
    __table_args__ = (Index(None, "input_id", "created_at", "job_id"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    """teacher, reference, model, start_from or extra."""
    input_id: Mapped[str] = mapped_column(Id)
    """No foreign key: a job that has ended outlives its inputs."""
    created_at: Mapped[int]
    """Copy of the job's ``created_at``, so that the index yields the newest jobs first."""


class AttemptRow(Base):
    """One attempt at a job: who made it, and how it ended."""

    __tablename__ = "attempts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str | None] = mapped_column(String(200))
    """None for most attempts before schema 0007."""
    started_at: Mapped[int] = mapped_column(default=database_now())
    ended_at: Mapped[int | None]
    outcome: Mapped[Outcome | None] = mapped_column(String(16))
    """None while it goes on."""
    failure: Mapped[dict[str, Any] | None]
    """What went wrong in it, whether or not the job was tried again."""


class LogRow(Base):
    """The log of one attempt. Its lines are chunks, and one object some time after its end."""

    __tablename__ = "logs"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lines: Mapped[int]
    """Number of lines that were written, and so the number of the last one."""
    bytes: Mapped[int]
    """Number of bytes that were written, whether or not they are still there."""
    object_key: Mapped[str | None] = mapped_column(String(500), index=True)
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))


class LogChunkRow(Base):
    """Consecutive lines of a log that is not an object yet."""

    __tablename__ = "log_chunks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Number of its first line."""
    last_seq: Mapped[int]
    omitted_lines: Mapped[int]
    """Number of lines that were left out right before its first."""
    omitted_bytes: Mapped[int]
    data: Mapped[str]
    """Lines as ``core.store.logs`` encodes them."""


class JobResultRow(Base):
    """One number that a job has measured, with what comparisons need. Its value is in
    ``jobs.results``, too.

    No foreign key to the job: the results of a model outlive the job that measured them.
    """

    __tablename__ = "job_results"
    __table_args__ = (
        Index(None, "project_id", "is_main", "key", "value", "job_id"),
        Index(None, "model_id", "key", unique=True, **ONLY_OF_MODELS),
        Index(None, "project_id", "key", "value", "model_id", **ONLY_OF_MODELS),
        Index(None, "project_id", "dataset_id", "key", "value", "model_id", **ONLY_OF_MODELS),
    )

    job_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    """Of the measure, such as pgd-20@linf:8/255."""
    network: Mapped[str] = mapped_column(String(16), primary_key=True)
    """best or last; model, of an evaluation."""
    project_id: Mapped[str] = mapped_column(Id)
    dataset_id: Mapped[str | None] = mapped_column(Id)
    is_main: Mapped[bool]
    """Whether it is of the network that stands for the job: the best student, the evaluated model.
    """
    name: Mapped[str] = mapped_column(String(64))
    norm: Mapped[str | None] = mapped_column(String(8))
    radius: Mapped[float | None]
    value: Mapped[float]
    images: Mapped[int | None]
    low: Mapped[float | None]
    """Of Wilson's 95 % interval; None where the number of images is not known."""
    high: Mapped[float | None]
    model_id: Mapped[str | None] = mapped_column(Id)
    """The model whose current result of this key it is: of its results on the most images, the
    newest."""
    image_set: Mapped[str | None] = mapped_column(String(64))
    """Digest of the images; masks of equal image sets are over the same images in one order."""
    per_class: Mapped[list[float | None] | None]
    mask: Mapped[bytes | None]
    """Which images are correct, as packed bits, the first image in the highest bit."""


class SearchWordRow(Base):
    """A word of an item's id, name or metadata, for searches by the beginnings of words.

    No foreign key, as items are of several tables: who deletes an item deletes its words.
    """

    __tablename__ = "search_words"
    __table_args__ = (Index(None, "project_id", "noun", "word", "item_id"),)

    item_id: Mapped[str] = mapped_column(Id, primary_key=True)
    word: Mapped[str] = mapped_column(Word, primary_key=True)
    noun: Mapped[str] = mapped_column(String(8))
    """job, model or dataset."""
    project_id: Mapped[str] = mapped_column(Id)


class EventRow(Base):
    __tablename__ = "events"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(32))
    at: Mapped[int] = mapped_column(default=database_now())
    attempt: Mapped[int]
    data: Mapped[dict[str, Any]]


class MetricRow(Base):
    __tablename__ = "metrics"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[float]
    attempt: Mapped[int]


class ArtifactRow(Base):
    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(16))
    """A ``core.job_folder.OutputKind``: checkpoint, weights, report, figure or export."""
    object_key: Mapped[str] = mapped_column(String(500), index=True)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))
    step: Mapped[int | None]
    attempt: Mapped[int]
    created_at: Mapped[int] = mapped_column(default=database_now())


class ModelRow(Editable, Deletable, Base):
    """A network with weights: an uploaded teacher, or the student of a job."""

    noun = "model"
    __tablename__ = "models"
    __table_args__ = (
        Index(None, "project_id", "name", unique=True, sqlite_where=LIVE, postgresql_where=LIVE),
        Index(None, "project_id", "created_at", "id"),
        Index(None, "project_id", "series", "series_version", unique=True),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(200))
    labels: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict, server_default="{}")
    series: Mapped[str] = mapped_column(String(200), server_default=text("''"))
    """Name of the series of which it is a version."""
    series_version: Mapped[int | None]
    """From 1, given when the model becomes ready, and never given again."""
    description: Mapped[dict[str, Any]]
    """A ``core.jobspec.network.ModelDescription``."""
    architecture: Mapped[str] = mapped_column(String(64))
    classes: Mapped[int]
    parameters: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16))
    """awaiting_upload, importing, ready or refused."""
    problem: Mapped[dict[str, Any] | None]
    reading: Mapped[dict[str, Any] | None]
    """A ``core.jobspec.network.CheckpointOptions``, where the caller's differ from the defaults."""
    report: Mapped[dict[str, Any] | None]
    object_key: Mapped[str | None] = mapped_column(String(500), index=True)
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    source_job_id: Mapped[str | None] = mapped_column(Id, unique=True)
    """The job that trained it; unique, so that a job publishes at most one student."""
    import_job_id: Mapped[str | None] = mapped_column(Id, index=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[int] = mapped_column(default=database_now())
    upload_seen_at: Mapped[int | None]
    """When bytes of its upload last arrived; None where no upload was started."""


class ModelSeriesRow(Base):
    """Models of one name over time; a project counts their versions."""

    __tablename__ = "model_series"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    last_version: Mapped[int]
    """The greatest version that was ever given, also to a model that is gone."""


class ModelAliasRow(Base):
    """A name for one version of a series, such as champion, which can be moved to another."""

    __tablename__ = "model_aliases"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    series: Mapped[str] = mapped_column(String(200), primary_key=True)
    alias: Mapped[str] = mapped_column(String(32), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)


class DatasetRow(Editable, Deletable, Base):
    noun = "data set"
    __tablename__ = "datasets"
    __table_args__ = (
        Index(None, "project_id", "name", unique=True, sqlite_where=LIVE, postgresql_where=LIVE),
        Index(None, "project_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    """None for a data set that all projects share."""
    name: Mapped[str] = mapped_column(String(200))
    labels: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict, server_default="{}")
    source: Mapped[str] = mapped_column(String(16))
    """builtin, upload, folder or download."""
    status: Mapped[str] = mapped_column(String(16))
    """awaiting_upload, importing, ready or refused."""
    problem: Mapped[dict[str, Any] | None]
    reading: Mapped[dict[str, Any] | None]
    """A ``core.jobspec.data.ImportOptions``, where the caller gave one."""
    description: Mapped[dict[str, Any] | None]
    """A ``core.jobspec.data.DatasetDescription``, once the import has succeeded."""
    report: Mapped[dict[str, Any] | None]
    """What the import says of it; None for imports of version 0.1."""
    images: Mapped[int | None]
    """Number of its images on thumbnail sheets; None where there are no sheets."""
    object_key: Mapped[str | None] = mapped_column(String(500), index=True)
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    import_job_id: Mapped[str | None] = mapped_column(Id, index=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[int] = mapped_column(default=database_now())
    upload_seen_at: Mapped[int | None]
    """When bytes of its upload last arrived; None where no upload was started."""


class ThumbnailSheetRow(Base):
    """A picture of some of a data set's images: a ``core.jobspec.data.ThumbnailSheet``."""

    __tablename__ = "thumbnail_sheets"

    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 0, in the order of the labels."""
    first_label: Mapped[int]
    last_label: Mapped[int]
    columns: Mapped[int]
    tile_width: Mapped[int]
    """In pixels, like ``tile_height``."""
    tile_height: Mapped[int]
    images: Mapped[list[Any]] = mapped_column(Json)
    """A ``core.jobspec.data.Thumbnail`` for each image, row by row."""
    object_key: Mapped[str] = mapped_column(String(500), index=True)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))


class IdempotencyRow(Base):
    """The response to a request with an Idempotency-Key."""

    __tablename__ = "idempotency"

    key_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Hash of the request's method, path, query and body."""
    status: Mapped[str] = mapped_column(String(16))
    """running or done."""
    response_status: Mapped[int | None]
    response_body: Mapped[str | None]
    created_at: Mapped[int] = mapped_column(default=database_now(), index=True)


class WorkerRow(Base):
    """A registered worker process; ``seen_at`` is the time of its last heartbeat."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[str] = mapped_column(String(64))
    protocol: Mapped[int]
    slots: Mapped[int]
    draining: Mapped[bool]
    """It finishes its jobs and claims no more."""
    started_at: Mapped[int] = mapped_column(default=database_now())
    seen_at: Mapped[int] = mapped_column(default=database_now())
    lease_expires_at: Mapped[int]
    """It counts as lost unless a heartbeat arrives before this time."""
    trouble: Mapped[str | None]
    """Why it claims nothing although it was not told to drain."""
    hardware: Mapped[dict[str, Any] | None]
    """A ``core.hardware.Hardware``; None where the worker does not report it."""
    lost_at: Mapped[int | None]
    """When a reconciler noticed that its lease had expired; None from its next heartbeat on."""


class ProjectEventRow(Base):
    """One change of what a project sees (``core.store.project_events``)."""

    __tablename__ = "project_events"
    __table_args__ = (
        Index(None, "seq", unique=True),
        Index(None, "project_id", "seq"),
        Index(None, "id", sqlite_where=UNNUMBERED, postgresql_where=UNNUMBERED),
        Index(
            None,
            "item_type",
            "item_id",
            sqlite_where=IS_SUPERSEDED,
            postgresql_where=IS_SUPERSEDED,
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    seq: Mapped[int | None]
    """Its number in the order of commits, over all projects; None until it is assigned."""
    project_id: Mapped[str | None] = mapped_column(Id)
    """None for what every project sees. No foreign key: it would lock the project's row."""
    item_type: Mapped[str] = mapped_column(String(16))
    item_id: Mapped[str] = mapped_column(String(200))
    change: Mapped[str] = mapped_column(String(16))
    at: Mapped[int] = mapped_column(default=database_now())
    data: Mapped[dict[str, Any]]


class ProjectEventLogRow(Base):
    """The numbers of project events. There is one row; whoever assigns numbers locks it."""

    __tablename__ = "project_event_log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_seq: Mapped[int]
    """The greatest number that was ever assigned."""
    pruned_seq: Mapped[int]
    """Events up to this number may have been pruned."""


class AuditRow(Base):
    """One request that changed something, or was refused (an entry of the audit log)."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "project_id", "at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    at: Mapped[int] = mapped_column(default=database_now())
    project_id: Mapped[str | None] = mapped_column(Id)
    """None for a request that was refused before it was authenticated."""
    key_id: Mapped[str | None] = mapped_column(Id)
    action: Mapped[str] = mapped_column(String(200))
    """Method and route."""
    target: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[int]
    code: Mapped[str | None] = mapped_column(String(64))
    """Code of the problem document."""
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    times: Mapped[int] = mapped_column(default=1)
    """How many equal refusals there were within an hour.

    Of equal refusals only the 1st, 2nd, 4th, 8th, … make an entry.
    """


class JobCostRow(Base):
    """What a job that has succeeded cost, and what that depended on: rates are learned from it.

    ``job_id`` is no foreign key: what is known of a rate outlives the job.
    """

    __tablename__ = "job_costs"
    __table_args__ = (Index(None, "device_name", "architecture", "finished_at"),)

    job_id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(Id)
    device_kind: Mapped[str] = mapped_column(String(16))
    """cpu or cuda."""
    device_name: Mapped[str] = mapped_column(String(200))
    architecture: Mapped[str] = mapped_column(String(64))
    """Of the student, or of the evaluated model."""
    student: Mapped[dict[str, Any]]
    """A ``core.jobspec.network.Network``: the student, or the evaluated model."""
    teacher: Mapped[dict[str, Any] | None]
    """The same of the teacher, or of an evaluation's reference."""
    method: Mapped[str | None] = mapped_column(String(64))
    precision: Mapped[str] = mapped_column(String(8))
    compiled: Mapped[bool]
    batch_size: Mapped[int]
    image_side: Mapped[int]
    """The larger of height and width, in pixels."""
    settings_sha256: Mapped[str] = mapped_column(String(64))
    """A ``core.jobspec.cost.settings.settings_sha256``: equal for jobs that cost the same."""
    training_passes: Mapped[int]
    """As ``core.jobspec.cost.passes`` counts them; 0 for an evaluation."""
    training_seconds: Mapped[float]
    evaluated_networks: Mapped[int]
    """2 where the last epoch's student was evaluated beside the best one's."""
    measures: Mapped[dict[str, Any]]
    """By kind of measure (clean, pgd, …): ``{"passes": …, "seconds": …}`` over all networks."""
    other_seconds: Mapped[float]
    """Of the attempt's time, what neither training nor evaluation took."""
    finished_at: Mapped[int] = mapped_column(default=database_now())


class MemoryEstimateRow(Base):
    """The device memory that jobs with these settings need: asked by the API, answered by workers.

    It names no project: jobs of any project with the same settings need the same.
    """

    __tablename__ = "memory_estimates"
    __table_args__ = (Index(None, "status", "not_before"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A ``core.jobspec.cost.memory.MemoryRequest.key``."""
    request: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    """pending, known or unavailable."""
    bytes: Mapped[int | None]
    parts: Mapped[dict[str, Any] | None]
    """Bytes of weights, gradients, … at the peak."""
    problem: Mapped[str | None] = mapped_column(String(500))
    """Why it is unavailable."""
    tries: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[int] = mapped_column(default=0)
    """Time before which no worker begins: one that has begun may still answer."""
    created_at: Mapped[int] = mapped_column(default=database_now())
    used_at: Mapped[int] = mapped_column(default=database_now())
    """When a dry run last asked for it."""
