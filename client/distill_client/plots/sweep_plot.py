"""A sweep as a figure: results over a setting, or one result over another.

Such figures are Figs. 3a, 1 and 5 of STARSHIP's paper.
"""

from typing import Any

from distill_client.client import Distill
from distill_client.errors import ClientError
from distill_client.measures import column_heading, describe, find_key
from distill_client.plots.figures import Point, curves, scatter_with_fit
from distill_client.responses import Job, SweepLine, SweepTable


def plot_sweep(
    service: Distill, sweep_id: str, x: str, ys: list[str], network: str
) -> dict[str, bytes]:
    """Return a sweep's figure, ``{"svg": …, "png": …}``.

    If ``x`` is a measure, the figure is a scatter plot with a fitted line; if it is the path of a
    setting, such as ``method.beta``, it has a curve for each measure. A measure is named by its
    key, or by its attack where the table has it under one threat model only. Raises ClientError for
    a measure that no job has, and for a setting that is not a number.
    """
    table = service.table(sweep_id, network)
    keys = [_find_measure(table, sweep_id, y) for y in ys]
    x_key = find_key(table.measures, x)
    if x_key is not None:
        return _plot_over_measure(table, x_key, keys)
    return _plot_over_setting(service, sweep_id, table, x, keys)


def _find_measure(table: SweepTable, sweep_id: str, text: str) -> str:
    key = find_key(table.measures, text)
    if key is None:
        available = ", ".join(table.measures) or "no results"
        raise ClientError(f"No job of {sweep_id} has {text} yet; there are {available}.")
    return key


def _plot_over_measure(table: SweepTable, x: str, ys: list[str]) -> dict[str, bytes]:
    if len(ys) != 1:
        raise ClientError(f"Only one measure can be plotted over {x}; name a single one after --y.")
    y = ys[0]
    points = [
        Point(line.name, _value(line, x), _value(line, y))
        for line in table.lines
        if {x, y} <= line.cells.keys()
    ]
    return scatter_with_fit(points, x=column_heading(x), y=column_heading(y))


def _plot_over_setting(
    service: Distill, sweep_id: str, table: SweepTable, x: str, ys: list[str]
) -> dict[str, bytes]:
    """Draw a curve for each measure, and for each combination of the other settings."""
    first_jobs: dict[str, Job] = {}
    for job in service.jobs(sweep=sweep_id):
        first_jobs.setdefault(job.sweep_line or "", job)
    series: dict[str, list[tuple[float, float]]] = {}
    for line in table.lines:
        # Lists of jobs leave out the spec, so each line's first job is fetched.
        setting = _setting_at(service.job(first_jobs[line.name].id).spec, x)
        parts = [part for part in line.name.split(", ") if not part.startswith(f"{x} ")]
        for y in ys:
            if y in line.cells:
                name = ", ".join([*parts, column_heading(y)])
                series.setdefault(name, []).append((setting, _value(line, y)))
    return curves(series, x=x, y=_axis_title(ys))


def _axis_title(measures: list[str]) -> str:
    """Return the title of an axis that several measures share."""
    if len(measures) == 1:
        return column_heading(measures[0])
    return "%" if all(describe(measure).accuracy for measure in measures) else ""


def _value(line: SweepLine, measure: str) -> float:
    """Return the mean, in the unit of the measure's heading."""
    return line.cells[measure].mean * describe(measure).scale


def _setting_at(spec: dict[str, Any], path: str) -> float:
    """Return the number at a path such as ``method.beta``."""
    value: Any = spec
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClientError(f"{path} is neither a measure nor a number in these jobs: {value!r}.")
    return float(value)
