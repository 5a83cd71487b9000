"""A sweep as a figure: results over a setting, or one result over another (Figs. 3a, 1 and 5 of STARSHIP's paper)."""

from typing import Any

from core.figures.comparisons import Point, curves, scatter_with_fit
from core.reportspec.measures import heading, is_accuracy, number_of
from core.reportspec.table import Line, Table
from distill_client.client import Distill
from distill_client.errors import ClientError
from distill_client.responses import Job


def plotted(
    service: Distill, sweep_id: str, x: str, ys: list[str], network: str
) -> dict[str, bytes]:
    """``{"svg": …, "png": …}``. ``x`` is a measure, for a scatter with its fitted line, or a setting's path, for curves.

    Raises ClientError for a measure that no line has a number of, and a setting that is no number.
    """
    table = service.table(sweep_id, network)
    unknown = [name for name in ys if name not in table.measures]
    if unknown:
        raise ClientError(
            f"No job of {sweep_id} has {unknown[0]} yet; there are {', '.join(table.measures) or 'no results'}."
        )
    return (
        scattered(table, x, ys)
        if x in table.measures
        else drawn_over(service, sweep_id, table, x, ys)
    )


def scattered(table: Table, x: str, ys: list[str]) -> dict[str, bytes]:
    if len(ys) != 1:
        raise ClientError("One measure is plotted over another; name a single one after --y.")
    (y,) = ys
    points = [
        Point(line.name, value(line, x), value(line, y))
        for line in table.lines
        if {x, y} <= line.cells.keys()
    ]
    return scatter_with_fit(points, x=heading(x), y=heading(y))


def drawn_over(
    service: Distill, sweep_id: str, table: Table, x: str, ys: list[str]
) -> dict[str, bytes]:
    """A curve for each measure, and for each line apart from the setting."""
    first: dict[str, Job] = {}
    for job in service.jobs(sweep=sweep_id):
        first.setdefault(job.sweep_line or "", job)
    series: dict[str, list[tuple[float, float]]] = {}
    for line in table.lines:
        at = number_at(service.job(first[line.name].id).spec, x)
        rest = ", ".join(part for part in line.name.split(", ") if not part.startswith(f"{x} "))
        for y in ys:
            if y in line.cells:
                series.setdefault(", ".join(filter(None, (rest, heading(y)))), []).append(
                    (at, value(line, y))
                )
    return curves(
        series, x=x, y=heading(ys[0]) if len(ys) == 1 else "%" if all(map(is_accuracy, ys)) else ""
    )


def value(line: Line, measure: str) -> float:
    """The mean, in the unit of the measure's heading."""
    return line.cells[measure].mean * (100 if is_accuracy(measure) else number_of(measure).scale)


def number_at(spec: dict[str, Any], path: str) -> float:
    place: Any = spec
    for key in path.split("."):
        place = place.get(key) if isinstance(place, dict) else None
    if isinstance(place, bool) or not isinstance(place, int | float):
        raise ClientError(f"{path} is no number in these jobs, and no measure: {place!r}.")
    return float(place)
