"""A job's metrics: thinned to their shape, or every value as a stream."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from api.dependencies import Database, Reader, QueryInt
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import problems
from api.representation import schemas
from core.store import jobs, metrics
from core.store.database.engine import read_session

LINES_AT_ONCE = 1000
router = APIRouter(prefix="/v1/jobs/{job_id}/metrics", tags=["results"], route_class=AuthenticatedRoute)

Names = Annotated[str | None, Query(max_length=4000, description="Comma-separated; default: all.")]


@router.get(
    "",
    response_model=schemas.MetricsResponse,
    responses={
        200: {
            "description": "By name; with `format=raw` or `csv` every value, streamed",
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
    points: Annotated[
        QueryInt,
        Query(ge=4, le=100_000, description="About how many of each, at most; no spike is lost."),
    ] = 1000,
    format: Annotated[
        Literal["series", "raw", "csv"],
        Query(description="raw: one JSON object a line; csv: name, step, value."),
    ] = "series",
) -> Any:
    """Values of training steps by metric name, thinned to their shape, or all of them as a stream."""
    with read_session(engine) as session:
        jobs.get(session, caller.project_id, job_id)
        wanted = (
            None
            if names is None
            else [name for name in names.split(",") if name and "\0" not in name][:200]
        )
        if format == "series":
            found = metrics.series(session, job_id, wanted, points)
            series = [
                schemas.MetricSeries(name=name, points=values) for name, values in found.items()
            ]
            return Response(
                schemas.MetricsResponse(series=series).model_dump_json(),
                media_type="application/json",
            )
    lines = metrics.stream(engine, job_id, wanted)
    if format == "csv":
        return StreamingResponse(_csv(lines), media_type="text/csv")
    return StreamingResponse(_ndjson(lines), media_type="application/x-ndjson")


def _ndjson(values: Iterable[tuple[str, int, float]]) -> Iterator[bytes]:
    lines = (
        to_json({"name": name, "step": step, "value": value}) + b"\n"
        for name, step, value in values
    )
    return _gathered(lines)


def _csv(values: Iterable[tuple[str, int, float]]) -> Iterator[bytes]:
    def line(*cells: object) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode()

    yield line("name", "step", "value")
    yield from _gathered(line(*value) for value in values)


def _gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Many lines a chunk: each chunk costs a change of thread."""
    held: list[bytes] = []
    for line in lines:
        held.append(line)
        if len(held) == LINES_AT_ONCE:
            yield b"".join(held)
            held.clear()
    yield b"".join(held)
