"""The tables. Times are milliseconds since the epoch by the database's clock, in columns named ``…_at``.

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

LIVE, DELETED = text("deleted_at IS NULL"), text("deleted_at IS NOT NULL")
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
    # A time that the database sets must be readable after the session is closed.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012


class Deletable:
    """Nobody sees a deleted row; the collector removes it when its time to be restored is over."""

    deleted_at: Mapped[int | None] = mapped_column()

    @classmethod
    def live(cls) -> ColumnElement[bool]:
        return cls.deleted_at.is_(None)


class ProjectRow(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[int] = mapped_column(default=database_now())


class ApiKeyRow(Base):
    """Its secret is not kept, only the SHA-256 of it."""

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
    """Jobs that were submitted together; its table is made of their results."""

    __tablename__ = "sweeps"
    __table_args__ = (Index(None, "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str | None] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]]
    """A ``core.jobspec.sweep.Sweep``, as it was sent."""
    size: Mapped[int]
    """How many jobs it has."""
    created_at: Mapped[int] = mapped_column(default=database_now())


class JobRow(Deletable, Base):
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
    """As the caller named it."""
    dataset_id: Mapped[str | None] = mapped_column(Id)
    teacher_id: Mapped[str | None] = mapped_column(Id)
    """A job that has ended outlives its data set and its teacher: it still says which they were."""
    labels: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    """The caller's metadata; the table ``labels`` is the index on it."""
    sweep_id: Mapped[str | None] = mapped_column(ForeignKey("sweeps.id"))
    sweep_index: Mapped[int | None]
    """Its place among the sweep's jobs, from 0."""
    sweep_line: Mapped[str | None] = mapped_column(String(500))
    """Its line in the sweep's table."""

    status: Mapped[Status] = mapped_column(String(16))
    phase: Mapped[str | None] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(default=0)
    """The fencing token: every claim raises it, and whoever holds an older one can write nothing."""
    infrastructure_failures: Mapped[int] = mapped_column(default=0)
    timeouts: Mapped[int] = mapped_column(default=0, server_default="0")
    memory_failures: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often its trainer ran out of memory."""
    protocol: Mapped[int] = mapped_column(default=PROTOCOL, server_default="1")
    """Of the program that stored it; a worker of an older one leaves it alone."""
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[int | None]
    not_before: Mapped[int | None]
    """A time, as ``…_at``: no attempt begins earlier."""
    pending_reason: Mapped[str | None]
    cancel_requested_at: Mapped[int | None]
    progress: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    results: Mapped[dict[str, Any] | None]
    """``{"best": {"clean": …, "pgd": …}, "last": {…}}``."""
    model_id: Mapped[str | None] = mapped_column(Id)
    """The published student."""

    event_seq: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)
    """Raised by every change that a caller can see: the ETag."""
    created_at: Mapped[int] = mapped_column(default=database_now())
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]


class JobLabelRow(Base):
    """One entry of a job's metadata, where an index can find it."""

    __tablename__ = "labels"
    __table_args__ = (Index(None, "project_id", "key", "value", "created_at", "job_id"),)

    project_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(200), primary_key=True)
    job_id: Mapped[str] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[int]
    """Of the job: a page of those with this label is read in its order, without looking at all the others."""


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
    """checkpoint, weights or report."""
    object_key: Mapped[str] = mapped_column(String(500), index=True)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))
    step: Mapped[int | None]
    attempt: Mapped[int]
    created_at: Mapped[int] = mapped_column(default=database_now())


class ModelRow(Deletable, Base):
    """A network with weights: a teacher that was uploaded, or the student that a job made."""

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
    report: Mapped[dict[str, Any] | None]
    object_key: Mapped[str | None] = mapped_column(String(500), index=True)
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    source_job_id: Mapped[str | None] = mapped_column(Id, unique=True)
    """The job that made it; unique, so that a job publishes one student at most."""
    import_job_id: Mapped[str | None] = mapped_column(Id, index=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[int] = mapped_column(default=database_now())
    upload_seen_at: Mapped[int | None]
    """When its upload last moved; None: none was begun."""


class DatasetRow(Deletable, Base):
    __tablename__ = "datasets"
    __table_args__ = (
        Index(None, "project_id", "name", unique=True, sqlite_where=LIVE, postgresql_where=LIVE),
        Index(None, "project_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    """None: everyone may use it."""
    name: Mapped[str] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(16))
    """builtin, upload, folder or download."""
    status: Mapped[str] = mapped_column(String(16))
    """awaiting_upload, importing, ready or refused."""
    problem: Mapped[dict[str, Any] | None]
    reading: Mapped[dict[str, Any] | None]
    """A ``core.jobspec.data.Reading``, where one was asked for."""
    description: Mapped[dict[str, Any] | None]
    """A ``core.jobspec.data.DatasetDescription``, once it is known."""
    object_key: Mapped[str | None] = mapped_column(String(500), index=True)
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    import_job_id: Mapped[str | None] = mapped_column(Id, index=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[int] = mapped_column(default=database_now())
    upload_seen_at: Mapped[int | None]
    """When its upload last moved; None: none was begun."""


class IdempotencyRow(Base):
    """What was answered to a request with an Idempotency-Key."""

    __tablename__ = "idempotency"

    key_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Hash of the request's method, path and body."""
    status: Mapped[str] = mapped_column(String(16))
    """running or done."""
    response_status: Mapped[int | None]
    response_body: Mapped[str | None]
    created_at: Mapped[int] = mapped_column(default=database_now(), index=True)


class WorkerRow(Base):
    """A worker process that has said who it is; ``seen_at`` is when it last did."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[str] = mapped_column(String(64))
    protocol: Mapped[int]
    slots: Mapped[int]
    draining: Mapped[bool]
    """It finishes what it has, and claims nothing."""
    started_at: Mapped[int] = mapped_column(default=database_now())
    seen_at: Mapped[int] = mapped_column(default=database_now())
    lease_expires_at: Mapped[int]
    """It is taken for lost unless it is seen again by then."""
    trouble: Mapped[str | None]
    """Why it claims nothing though nobody asked it to drain."""


class AuditRow(Base):
    """One request that changed something, or was refused."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "project_id", "at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    at: Mapped[int] = mapped_column(default=database_now())
    project_id: Mapped[str | None] = mapped_column(Id)
    """None: before it was known whose it is."""
    key_id: Mapped[str | None] = mapped_column(Id)
    action: Mapped[str] = mapped_column(String(200))
    """Method and route."""
    target: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[int]
    code: Mapped[str | None] = mapped_column(String(64))
    """Of the problem document."""
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    times: Mapped[int] = mapped_column(default=1)
    """How many alike there had been within an hour: of refusals only the 1st, 2nd, 4th, 8th … leave a line."""
