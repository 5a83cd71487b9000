"""Models and data sets."""

from typing import Any, Literal

from pydantic import Field

from distill_client.responses.base import Editable, ResponseModel

UploadStatus = Literal["awaiting_upload", "importing", "ready", "refused"]


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
    deleted_at: str | None = None


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
    results: dict[str, ModelResult] = {}
    """By the measure's key, as far as measured."""
    deciding: list[str] = []
    """Keys of the results that decide how robust it is."""


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
