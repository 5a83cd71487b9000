"""What jobs have measured."""

from typing import Any

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.store.database.tables.base import Base, Id

OF_MODEL = text("model_id IS NOT NULL")
ONLY_OF_MODELS: dict[str, Any] = {"sqlite_where": OF_MODEL, "postgresql_where": OF_MODEL}


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
