"""What jobs have cost, and the memory that they need: for estimates."""

from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.store.database.clock import database_now
from core.store.database.tables.base import Base, Id


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
