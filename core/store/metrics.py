"""Values of training steps. A step that is trained again after a crash replaces its earlier values."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

Series = dict[str, list[tuple[int, float]]]
_FEWEST_POINTS = 4
_STREAMED_AT_ONCE = 2000


def record(
    session: FencedSession, job_id: str, attempt: int, step: int, values: Mapping[str, float]
) -> None:
    """One step's values, by name."""
    record_many(session, job_id, attempt, [(step, values)])


def record_many(
    session: FencedSession, job_id: str, attempt: int, rows: Iterable[tuple[int, Mapping[str, float]]]
) -> None:
    """Many steps' values. Non-finite ones are left out: neither JSON nor SQLite has them."""
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


def names(session: Session, job_id: str) -> list[str]:
    return list(
        session.scalars(
            select(MetricRow.name)
            .where(MetricRow.job_id == job_id)
            .distinct()
            .order_by(MetricRow.name)
        )
    )


def series(
    session: Session, job_id: str, names: Sequence[str] | None = None, points: int | None = None
) -> Series:
    """Each metric's (step, value), by step. With ``points``, at most about so many of each: its steps are cut into equal
    parts, and the first, last, least and greatest of each part stay, so that no spike is lost.
    """
    if points is not None:
        rows = _thinned(session, job_id, names, max(points, _FEWEST_POINTS))
    else:
        rows = ((name, step, value) for name, step, value in session.execute(_all(job_id, names)))
    found: Series = {}
    for name, step, value in rows:
        found.setdefault(name, []).append((step, value))
    return {name: found[name] for name in sorted(found)}


def stream(
    engine: Engine, job_id: str, names: Sequence[str] | None = None
) -> Iterator[tuple[str, int, float]]:
    """Every (name, step, value), by name and step. Asked for in parts, each a look of its own: whoever takes them slowly holds
    neither a connection nor a transaction meanwhile.
    """
    statement = rest = _all(job_id, names).limit(_STREAMED_AT_ONCE)
    while True:
        with read_session(engine) as session:
            rows = session.execute(rest).all()
        yield from ((name, step, value) for name, step, value in rows)
        if len(rows) < _STREAMED_AT_ONCE:
            return
        rest = statement.where(
            tuple_(MetricRow.name, MetricRow.step)
            > tuple_(literal(rows[-1].name), literal(rows[-1].step))
        )


def _all(job_id: str, names: Sequence[str] | None) -> Select[str, int, float]:
    statement = select(MetricRow.name, MetricRow.step, MetricRow.value).where(*_of(job_id, names))
    return statement.order_by(MetricRow.name, MetricRow.step)


def _thinned(
    session: Session, job_id: str, names: Sequence[str] | None, points: int
) -> Iterator[tuple[str, int, float]]:
    """Short metrics whole; of long ones the ends and extremes of each part. Two passes over the points as they lie."""
    begin, end, mine = func.min(MetricRow.step), func.max(MetricRow.step), _of(job_id, names)
    count = points // _FEWEST_POINTS
    ranges = select(MetricRow.name, begin, (end - begin + count) // count, func.count()).where(
        *mine
    )
    found = session.execute(ranges.group_by(MetricRow.name).order_by(MetricRow.name)).all()
    short = [name for name, _, _, size in found if size <= points]
    whole = session.execute(_all(job_id, short)).all() if short else []
    yield from ((name, step, value) for name, step, value in whole)
    for name, first, width, size in found:
        if size > points:
            yield from (
                (name, step, value) for step, value in _corners(session, job_id, name, first, width)
            )


def _corners(
    session: Session, job_id: str, name: str, beginning: int, width: int
) -> list[tuple[int, float]]:
    """(step, value) of the first, the last, the least and the greatest point of each part, by step; of equal ones the first."""
    kept: set[tuple[int, float]] = set()
    given = {"job_id": job_id, "name": name, "beginning": beginning, "width": width}
    for (
        first,
        last,
        least,
        greatest,
        at_first,
        at_last,
        of_least,
        of_greatest,
    ) in session.connection().execute(_PARTS, given):
        kept |= {(first, at_first), (last, at_last), (of_least, least), (of_greatest, greatest)}
    return sorted(kept)


def _parts() -> Select[Any]:
    """Made once. For each part its ends and extremes, the values at the ends, and the steps of the extremes."""
    one = (MetricRow.job_id == bindparam("job_id"), MetricRow.name == bindparam("name"))
    part = (MetricRow.step - bindparam("beginning", type_=Integer)) // bindparam(
        "width", type_=Integer
    )
    ends = (func.min(MetricRow.step).label("first"), func.max(MetricRow.step).label("last"))
    extremes = (
        func.min(MetricRow.value).label("least"),
        func.max(MetricRow.value).label("greatest"),
    )
    parts = select(*ends, *extremes).where(*one).group_by(part).subquery()
    point = aliased(MetricRow)
    at = (point.job_id == bindparam("job_id"), point.name == bindparam("name"))
    inside = (*at, point.step.between(parts.c.first, parts.c.last))
    values = [
        select(point.value).where(*at, point.step == each).scalar_subquery()
        for each in (parts.c.first, parts.c.last)
    ]
    steps = [
        select(point.step)
        .where(*inside, point.value == each)
        .order_by(point.step)
        .limit(1)
        .scalar_subquery()
        for each in (parts.c.least, parts.c.greatest)
    ]
    return select(parts, *values, *steps)


def _of(job_id: str, names: Sequence[str] | None) -> list[ColumnElement[bool]]:
    return [MetricRow.job_id == job_id, *([] if names is None else [MetricRow.name.in_(names)])]


_PARTS = _parts()
