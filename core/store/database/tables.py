"""The tables.

Columns named ``…_at`` are times in milliseconds since the epoch, by the database's clock.

projects ─┬─ api_keys ── idempotency
          ├─ sweeps ── jobs
          ├─ jobs ── labels, events, metrics, artifacts
          ├─ models
          ├─ datasets (without a project: for everyone)
          └─ audit
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
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.jobspec.status import PROTOCOL, Status
from core.store.database.clock import database_now

DEFAULT_PROJECT = "prj_default"
DIGITS_ID = "ds_digits"

LIVE = text("deleted_at IS NULL")
DELETED = text("deleted_at IS NOT NULL")
Id = String(64)
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


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


class JobRow(Deletable, Base):
    noun = "job"
    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "project_id", "created_at", "id"),
        Index(None, "project_id", "status", "created_at", "id"),
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


class ModelRow(Deletable, Base):
    """A network with weights: an uploaded teacher, or the student of a job."""

    noun = "model"
    __tablename__ = "models"
    __table_args__ = (
        Index(None, "project_id", "name", unique=True, sqlite_where=LIVE, postgresql_where=LIVE),
        Index(None, "project_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(200))
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


class DatasetRow(Deletable, Base):
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
    object_key: Mapped[str | None] = mapped_column(String(500), index=True)
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    import_job_id: Mapped[str | None] = mapped_column(Id, index=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[int] = mapped_column(default=database_now())
    upload_seen_at: Mapped[int | None]
    """When bytes of its upload last arrived; None where no upload was started."""


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
