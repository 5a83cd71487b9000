"""Models with their series and aliases, and data sets with their thumbnails."""

from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.store.database.clock import database_now
from core.store.database.tables.base import LIVE, Base, Deletable, Editable, Id, Json

DIGITS_ID = "ds_digits"


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
