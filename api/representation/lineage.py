"""The lineage of a model as a response."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from api.representation.schemas import ResponseBody, Time
from core.reportspec.accuracies import deciding_keys, main_results
from core.reportspec.measures import ATTACKS, Measure, describe, sort_key
from core.store.database import tables
from core.store.registry import series
from core.store.registry.lineage import Bound, Lineage

KEY_MEASURES = frozenset({"clean", *ATTACKS})
"""Accuracies on the test images."""


class LineageNode(ResponseBody):
    """A model, a job or a data set. Fields that its type does not have are null."""

    id: str
    type: Literal["model", "job", "dataset"]
    name: str | None = None
    status: str | None = None
    """Null for what has been deleted for good."""
    deleted: bool
    created_at: Time | None = None
    architecture: str | None = None
    """Of a model, or of a job's student."""
    parameters: int | None = None
    series: str | None = None
    series_version: int | None = None
    aliases: list[str] = Field(default_factory=list)
    kind: str | None = None
    """Of a job."""
    method: str | None = None
    """Of a job, or of the job that trained the model."""
    dataset: str | None = None
    """Id or name of a job's data set, as in the submitted spec."""
    cloned_from: str | None = None
    """Of a job: the job whose spec it was made from."""
    results: dict[str, float] = Field(default_factory=dict)
    """Accuracies on the test images, in [0, 1], by measure key: of a job's best network, or of the
    job that trained the model."""
    deciding: list[str] = Field(default_factory=list)
    """Keys of the results that decide: under each threat model the strongest attack."""
    has_more: bool
    """Whether it has neighbors that are not in this graph; its own lineage has them."""


class LineageEdge(ResponseBody):
    source: str
    """Id of one of the `nodes`, like `target`."""
    target: str
    role: Literal["teacher", "reference", "model", "start_from", "extra", "student"]
    """What the source is to the job; with student, what the target is to the job that trained
    it."""


class LineageResponse(ResponseBody):
    root: str
    """Id of the model whose lineage it is."""
    nodes: list[LineageNode]
    """The root first."""
    edges: list[LineageEdge]
    """Each in the direction of time: from an input to its job, from a job to its student."""
    cut: list[Literal["generations", "nodes"]]
    """Which bounds of the request left something out; empty if this is the complete graph."""
    measures: dict[str, Measure]
    """What each key of the results says."""


def lineage(session: Session, root: str, graph: Lineage) -> LineageResponse:
    """Return the response for a graph whose rows are loaded."""
    aliases = series.aliases_by_model(session, list(graph.models))
    nodes = [
        LineageNode(
            id=node_id,
            type=type,
            has_more=node_id in graph.unfinished,
            **_fields(graph, node_id, aliases.get(node_id, [])),
        )
        for node_id, type in graph.types.items()
    ]
    keys = {key for node in nodes for key in node.results}
    bounds: tuple[Bound, ...] = ("generations", "nodes")
    return LineageResponse(
        root=root,
        nodes=nodes,
        edges=[LineageEdge.model_validate(vars(edge)) for edge in graph.edges],
        cut=[bound for bound in bounds if bound in graph.cut],
        measures={key: describe(key) for key in sorted(keys, key=sort_key)},
    )


def _fields(graph: Lineage, node_id: str, aliases: list[str]) -> dict[str, Any]:
    """Return the fields that a node's row has. A node without a row has been deleted for good."""
    if node_id in graph.models:
        return _model_fields(graph, graph.models[node_id], aliases)
    if node_id in graph.jobs:
        job = graph.jobs[node_id]
        names = ("name", "status", "kind", "method", "dataset", "cloned_from")
        return {
            **_shared_fields(job),
            **{name: getattr(job, name) for name in names},
            "architecture": job.student,
            **_result_fields(job.results),
        }
    if node_id in graph.datasets:
        return _shared_fields(graph.datasets[node_id])
    return {"deleted": True}


def _model_fields(graph: Lineage, model: tables.ModelRow, aliases: list[str]) -> dict[str, Any]:
    source = graph.jobs.get(model.source_job_id or "")
    return {
        **_shared_fields(model),
        "architecture": model.architecture,
        "parameters": model.parameters,
        "series": model.series,
        "series_version": model.series_version,
        "aliases": aliases,
        "method": source and source.method,
        **_result_fields(source and source.results),
    }


def _shared_fields(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "status": row.status,
        "created_at": row.created_at,
        "deleted": row.deleted_at is not None,
    }


def _result_fields(results: dict[str, dict[str, float]] | None) -> dict[str, Any]:
    """Return the accuracies on test images of the best network, or of an evaluated model."""
    numbers = main_results(results)
    return {
        "results": {key: numbers[key] for key in _sorted_keys(numbers)},
        "deciding": deciding_keys(numbers),
    }


def _sorted_keys(keys: Iterable[str]) -> list[str]:
    return sorted((key for key in keys if describe(key).name in KEY_MEASURES), key=sort_key)
