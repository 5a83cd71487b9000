"""Metric values of training steps.

A step that is trained again after a crash replaces its earlier values.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Integer,
    Select,
    bindparam,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.orm import Session, aliased

from core.store.database.engine import read_session
from core.store.database.fence import FencedSession
from core.store.database.tables import MetricRow
from core.store.database.upsert import insert


@dataclass(frozen=True)
class StepRange:
    """Steps from ``first`` to ``last``, both included; None: no bound."""

    first: int | None = None
    last: int | None = None


ALL_STEPS = StepRange()
Series = dict[str, list[tuple[int, float]]]
"""By metric name: (step, value), sorted by step."""
_OneSeries = tuple[str, str, list[tuple[int, float]]]
"""Job, metric name, and its (step, value), sorted by step."""
_POINTS_PER_INTERVAL = 4
_STREAM_ROWS = 2000


def record(
    session: FencedSession, job_id: str, attempt: int, step: int, values: Mapping[str, float]
) -> None:
    """Record one step's values, by metric name."""
    record_many(session, job_id, attempt, [(step, values)])


def record_many(
    session: FencedSession,
    job_id: str,
    attempt: int,
    rows: Iterable[tuple[int, Mapping[str, float]]],
) -> None:
    """Record many steps' values. Values that are not finite are left out: JSON has none."""
    latest = {
        (name, step): float(value)
        for step, values in rows
        for name, value in values.items()
        if math.isfinite(value)
    }
    if not latest:
        return
    statement = insert(session, MetricRow)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["job_id", "name", "step"], set_={"value": new.value, "attempt": new.attempt}
    )
    session.connection().execute(
        statement,
        [
            {"job_id": job_id, "name": name, "step": step, "value": value, "attempt": attempt}
            for (name, step), value in latest.items()
        ],
    )


def load_series(
    session: Session,
    job_ids: Collection[str],
    names: Collection[str] | None = None,
    points: int | None = None,
    steps: StepRange = ALL_STEPS,
) -> dict[str, Series]:
    """Return, by job, the metrics of the given steps, or those with the given names.

    With ``points``, each series is thinned to about that many points: its steps are cut into equal
    intervals, and of each interval the first, last, smallest and largest points stay. So no spike
    is lost.
    """
    if points is None:
        values = _values(session, _conditions(job_ids, names, steps))
    else:
        values = _thinned(session, job_ids, names, max(points, _POINTS_PER_INTERVAL), steps)
    series: dict[str, Series] = {job_id: {} for job_id in job_ids}
    for job_id, name, points_of_series in values:
        series[job_id][name] = points_of_series
    return {job_id: dict(sorted(own.items())) for job_id, own in series.items()}


def count_values(session: Session, job_ids: Collection[str], names: Collection[str]) -> int:
    """Return how many values these jobs have of these metrics."""
    is_selected = (MetricRow.job_id.in_(job_ids), MetricRow.name.in_(names))
    return session.scalar(select(func.count()).select_from(MetricRow).where(*is_selected)) or 0


def stream_values(
    engine: Engine, job_id: str, names: Sequence[str] | None = None
) -> Iterator[tuple[str, int, float]]:
    """Yield every (name, step, value), sorted by name and step.

    Each batch is read in a session of its own, so that a slow consumer holds neither a connection
    nor a transaction between batches.
    """
    statement = _select_values(_conditions([job_id], names)).limit(_STREAM_ROWS)
    next_batch = statement
    while True:
        with read_session(engine) as session:
            rows = session.execute(next_batch).all()
        yield from ((name, step, value) for _, name, step, value in rows)
        if len(rows) < _STREAM_ROWS:
            return
        last_key = tuple_(literal(rows[-1].name), literal(rows[-1].step))
        next_batch = statement.where(tuple_(MetricRow.name, MetricRow.step) > last_key)


def _select_values(conditions: Iterable[ColumnElement[bool]]) -> Select[str, str, int, float]:
    return (
        select(MetricRow.job_id, MetricRow.name, MetricRow.step, MetricRow.value)
        .where(*conditions)
        .order_by(MetricRow.job_id, MetricRow.name, MetricRow.step)
    )


def _conditions(
    job_ids: Collection[str], names: Collection[str] | None, steps: StepRange = ALL_STEPS
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [MetricRow.job_id.in_(job_ids)]
    if names is not None:
        conditions.append(MetricRow.name.in_(names))
    if steps.first is not None:
        conditions.append(MetricRow.step >= steps.first)
    if steps.last is not None:
        conditions.append(MetricRow.step <= steps.last)
    return conditions


def _values(session: Session, conditions: Iterable[ColumnElement[bool]]) -> Iterator[_OneSeries]:
    """Yield every series, unthinned."""
    rows = session.execute(_select_values(conditions))
    for (job_id, name), group in groupby(rows, itemgetter(0, 1)):
        yield job_id, name, [(step, value) for _, _, step, value in group]


def _thinned(
    session: Session,
    job_ids: Collection[str],
    names: Collection[str] | None,
    points: int,
    steps: StepRange,
) -> Iterator[_OneSeries]:
    """Yield short series unchanged, and of long ones the ends and extremes of each interval."""
    intervals = points // _POINTS_PER_INTERVAL
    first = func.min(MetricRow.step)
    last = func.max(MetricRow.step)
    width = (last - first + intervals) // intervals  # rounded up
    statement = (
        select(MetricRow.job_id, MetricRow.name, first, width, func.count(), last)
        .where(*_conditions(job_ids, names, steps))
        .group_by(MetricRow.job_id, MetricRow.name)
    )
    ranges = session.execute(statement).all()
    short_names: dict[str, list[str]] = {}
    for job_id, name, first_step, interval_width, size, last_step in ranges:
        if size <= points:
            short_names.setdefault(job_id, []).append(name)
            continue
        parameters: dict[str, str | int] = {
            "job_id": job_id,
            "name": name,
            "first_step": first_step,
            "last_step": last_step,
            "width": interval_width,
        }
        yield job_id, name, _ends_and_extremes(session, parameters)
    yield from _short_series(session, short_names, steps)


def _short_series(
    session: Session, short_names: Mapping[str, Sequence[str]], steps: StepRange
) -> Iterator[_OneSeries]:
    """Yield the series of these names by job: those of jobs with the same names together."""
    jobs_by_names: dict[tuple[str, ...], list[str]] = {}
    for job_id, names in short_names.items():
        jobs_by_names.setdefault(tuple(names), []).append(job_id)
    for names, job_ids in jobs_by_names.items():
        yield from _values(session, _conditions(job_ids, names, steps))


def _ends_and_extremes(
    session: Session, parameters: Mapping[str, str | int]
) -> list[tuple[int, float]]:
    """Return (step, value) of the ends and extremes of each interval, sorted by step.

    Of equal extremes the first counts.
    """
    points: set[tuple[int, float]] = set()
    for row in session.connection().execute(_INTERVALS, dict(parameters)):
        first, last, smallest, largest = row[:4]
        value_at_first, value_at_last, step_of_smallest, step_of_largest = row[4:]
        points |= {
            (first, value_at_first),
            (last, value_at_last),
            (step_of_smallest, smallest),
            (step_of_largest, largest),
        }
    return sorted(points)


def _select_intervals() -> Select[Any]:
    """Select, for each interval, its end steps and extreme values.

    Then follow the values at the end steps, and the steps of the extreme values.
    """
    is_metric = (MetricRow.job_id == bindparam("job_id"), MetricRow.name == bindparam("name"))
    offset = MetricRow.step - bindparam("first_step", type_=Integer)
    interval = offset // bindparam("width", type_=Integer)
    intervals = (
        select(
            func.min(MetricRow.step).label("first"),
            func.max(MetricRow.step).label("last"),
            func.min(MetricRow.value).label("smallest"),
            func.max(MetricRow.value).label("largest"),
        )
        .where(*is_metric, MetricRow.step.between(bindparam("first_step"), bindparam("last_step")))
        .group_by(interval)
        .subquery()
    )
    point = aliased(MetricRow)
    is_point = (point.job_id == bindparam("job_id"), point.name == bindparam("name"))
    in_interval = (*is_point, point.step.between(intervals.c.first, intervals.c.last))
    values_at_ends = [
        select(point.value).where(*is_point, point.step == step).scalar_subquery()
        for step in (intervals.c.first, intervals.c.last)
    ]
    steps_of_extremes = [
        select(point.step)
        .where(*in_interval, point.value == value)
        .order_by(point.step)
        .limit(1)
        .scalar_subquery()
        for value in (intervals.c.smallest, intervals.c.largest)
    ]
    return select(intervals, *values_at_ends, *steps_of_extremes)


_INTERVALS = _select_intervals()
"""Built once."""
