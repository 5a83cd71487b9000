"""What a model was made from, and what was made from it."""

from typing import Literal

from distill_client.responses.base import ResponseModel


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
    deciding: list[str] = []
    """Keys of the results that decide."""
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
