"""Jobs and sweeps: what was submitted, and how far it is."""

from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.jobspec.status import PROTOCOL, Status
from core.store.database.clock import database_now
from core.store.database.tables.base import DELETED, Base, Deletable, Editable, Id

HAS_RESULTS = text("results IS NOT NULL")
IS_FINISHED = text("finished_at IS NOT NULL")
HAS_ENDED: dict[str, Any] = {"sqlite_where": IS_FINISHED, "postgresql_where": IS_FINISHED}
WITH_RESULTS: dict[str, Any] = {"sqlite_where": HAS_RESULTS, "postgresql_where": HAS_RESULTS}


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
        Index(None, "project_id", "finished_at", "id", **HAS_ENDED),
        Index(None, "project_id", "status", "finished_at", "id", **HAS_ENDED),
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
