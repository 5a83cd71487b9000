"""Values of training steps. A step that is trained again after a crash replaces its earlier values."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from core.store.tables import Metric
from core.store.upsert import insert

Series = dict[str, list[tuple[int, float]]]
_FEWEST_POINTS = 4


def record(session: Session, job_id: str, attempt: int, step: int, values: Mapping[str, float]) -> None:
    """One step's values, by name."""
    record_many(session, job_id, attempt, [(step, values)])


def record_many(session: Session, job_id: str, attempt: int, rows: Iterable[tuple[int, Mapping[str, float]]]) -> None:
    """Many steps' values. Non-finite ones are left out: neither JSON nor SQLite has them."""
    latest = {(name, step): float(value) for step, values in rows for name, value in values.items() if math.isfinite(value)}
    if not latest:
        return
    statement = insert(session, Metric)
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


def names(session: Session, job_id: str) -> list[str]:
    return list(session.scalars(select(Metric.name).where(Metric.job_id == job_id).distinct().order_by(Metric.name)))


def series(session: Session, job_id: str, names: Sequence[str] | None = None, points: int | None = None) -> Series:
    """Each metric's (step, value), by step. With ``points``, at most about so many of each: its steps are cut into equal
    parts, and the first, last, least and greatest of each part stay, so that no spike is lost.
    """
    asked = select(Metric.name, func.min(Metric.step), func.max(Metric.step), func.count()).where(Metric.job_id == job_id)
    if names is not None:
        asked = asked.where(Metric.name.in_(names))
    found: Series = {}
    for name, first, last, size in session.execute(asked.group_by(Metric.name).order_by(Metric.name)):
        if points is None or size <= max(points, _FEWEST_POINTS):
            found[name] = _whole(session, job_id, name)
        else:
            parts = max(points, _FEWEST_POINTS) // _FEWEST_POINTS
            found[name] = _thinned(session, job_id, name, first, -(-(last - first + 1) // parts))
    return found


def stream(session: Session, job_id: str, names: Sequence[str] | None = None) -> Iterator[tuple[str, int, float]]:
    """Every (name, step, value), by name and step, without holding them all in memory."""
    statement = select(Metric.name, Metric.step, Metric.value).where(Metric.job_id == job_id)
    if names is not None:
        statement = statement.where(Metric.name.in_(names))
    statement = statement.order_by(Metric.name, Metric.step).execution_options(yield_per=2000)
    yield from session.execute(statement)


def _whole(session: Session, job_id: str, name: str) -> list[tuple[int, float]]:
    statement = select(Metric.step, Metric.value).where(Metric.job_id == job_id, Metric.name == name).order_by(Metric.step)
    return [(step, value) for step, value in session.execute(statement)]


def _thinned(session: Session, job_id: str, name: str, first: int, width: int) -> list[tuple[int, float]]:
    part = ((Metric.step - first) // width).label("part")
    points = select(part, Metric.step, Metric.value).where(Metric.job_id == job_id, Metric.name == name).subquery("points")
    ends = (
        select(
            points.c.part,
            func.min(points.c.step).label("first"),
            func.max(points.c.step).label("last"),
            func.min(points.c.value).label("least"),
            func.max(points.c.value).label("greatest"),
        )
        .group_by(points.c.part)
        .subquery("ends")
    )

    def at(column: str, reached: str, value: str) -> ColumnElement[Any]:
        return func.min(case((points.c[reached] == ends.c[column], points.c[value])))

    statement = (
        select(
            ends.c.first,
            at("first", "step", "value"),
            ends.c.last,
            at("last", "step", "value"),
            at("least", "value", "step"),
            ends.c.least,
            at("greatest", "value", "step"),
            ends.c.greatest,
        )
        .select_from(ends.join(points, points.c.part == ends.c.part))
        .group_by(ends.c.part, ends.c.first, ends.c.last, ends.c.least, ends.c.greatest)
    )
    kept: dict[int, float] = {}
    for row in session.execute(statement):
        kept |= dict(zip(row[::2], row[1::2], strict=True))
    return sorted(kept.items())
