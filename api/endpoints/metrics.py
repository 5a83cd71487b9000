"""A job's metrics: thinned series, or every value as a stream."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from api.dependencies import Database, QueryInt, Reader
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import problems
from api.representation import from_rows, schemas
from api.representation.json_response import json_response
from core.store import jobs, metrics
from core.store.database.engine import read_session

LINES_PER_CHUNK = 1000
MAX_NAMES = 200
router = APIRouter(
    prefix="/v1/jobs/{job_id}/metrics", tags=["results"], route_class=AuthenticatedRoute
)

MetricValue = tuple[str, int, float]
"""Name, step, value."""
Names = Annotated[
    str | None, Query(max_length=4000, description="Metric names, comma-separated. Default: all.")
]
Points = Annotated[
    QueryInt,
    Query(
        ge=4,
        le=100_000,
        description="Approximate maximum number of points per series. Spikes are preserved.",
    ),
]
StepBound = Annotated[
    QueryInt | None,
    Query(ge=0, le=2**31 - 1, description="Only points of steps within these bounds, in series."),
]


@router.get(
    "",
    response_model=schemas.MetricsResponse,
    responses={
        200: {
            "description": "Series by name; with `format=raw` or `csv` every value, streamed",
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
        **problems(404),
    },
)
def get_metrics(
    job_id: str,
    caller: Reader,
    engine: Database,
    names: Names = None,
    points: Points = 1000,
    first_step: StepBound = None,
    last_step: StepBound = None,
    format: Annotated[
        Literal["series", "raw", "csv"],
        Query(description="raw: one JSON object per line; csv: name, step, value."),
    ] = "series",
) -> Response:
    """Get values of training steps by metric name, thinned, or all of them as a stream.

    With `first_step` and `last_step`, which are included, only the series' points between them:
    a part of a long series is thinned less than the whole.
    """
    selected = None
    if names is not None:
        selected = [name for name in names.split(",") if name and "\0" not in name][:MAX_NAMES]
    with read_session(engine) as session:
        jobs.get(session, caller.project_id, job_id)  # raises NotFound
        if format == "series":
            steps = metrics.StepRange(first_step, last_step)
            series_by_job = metrics.load_series(session, [job_id], selected, points, steps)
            series = from_rows.metric_series(series_by_job[job_id])
            return json_response(schemas.MetricsResponse(series=series))
    values = metrics.stream_values(engine, job_id, selected)
    if format == "csv":
        return StreamingResponse(_csv(values), media_type="text/csv")
    return StreamingResponse(_ndjson(values), media_type="application/x-ndjson")


def _ndjson(values: Iterable[MetricValue]) -> Iterator[bytes]:
    return _chunks(
        to_json({"name": name, "step": step, "value": value}) + b"\n"
        for name, step, value in values
    )


def _csv(values: Iterable[MetricValue]) -> Iterator[bytes]:
    yield _csv_line("name", "step", "value")
    yield from _chunks(_csv_line(*value) for value in values)


def _csv_line(*cells: object) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join many lines per chunk: each chunk costs a switch between threads."""
    chunk: list[bytes] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == LINES_PER_CHUNK:
            yield b"".join(chunk)
            chunk.clear()
    yield b"".join(chunk)
