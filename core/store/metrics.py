"""Values of training steps. A step that is trained again after a crash replaces its earlier values."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Engine, Select, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from core.store.engine import reading
from core.store.fence import Fenced
from core.store.tables import Metric
from core.store.upsert import insert

Series = dict[str, list[tuple[int, float]]]
_FEWEST_POINTS = 4
_STREAMED_AT_ONCE = 2000


def record(session: Fenced, job_id: str, attempt: int, step: int, values: Mapping[str, float]) -> None:
    """One step's values, by name."""
    record_many(session, job_id, attempt, [(step, values)])


def record_many(session: Fenced, job_id: str, attempt: int, rows: Iterable[tuple[int, Mapping[str, float]]]) -> None:
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
    if points is not None:
        rows = _thinned(session, job_id, names, max(points, _FEWEST_POINTS))
    else:
        rows = ((name, step, value) for name, step, value in session.execute(_all(job_id, names)))
    found: Series = {}
    for name, step, value in rows:
        found.setdefault(name, []).append((step, value))
    return found


def stream(engine: Engine, job_id: str, names: Sequence[str] | None = None) -> Iterator[tuple[str, int, float]]:
    """Every (name, step, value), by name and step. Asked for in parts, each a look of its own: whoever takes them slowly holds
    neither a connection nor a transaction meanwhile.
    """
    statement = rest = _all(job_id, names).limit(_STREAMED_AT_ONCE)
    while True:
        with reading(engine) as session:
            rows = session.execute(rest).all()
        yield from ((name, step, value) for name, step, value in rows)
        if len(rows) < _STREAMED_AT_ONCE:
            return
        rest = statement.where(tuple_(Metric.name, Metric.step) > tuple_(literal(rows[-1].name), literal(rows[-1].step)))


def _all(job_id: str, names: Sequence[str] | None) -> Select[str, int, float]:
    statement = select(Metric.name, Metric.step, Metric.value).where(Metric.job_id == job_id)
    if names is not None:
        statement = statement.where(Metric.name.in_(names))
    return statement.order_by(Metric.name, Metric.step)


def _thinned(session: Session, job_id: str, names: Sequence[str] | None, points: int) -> Iterator[tuple[str, int, float]]:
    """Passes over the points as they lie: each metric's range, then the ends and extremes of its parts, then where those are."""
    mine = [Metric.job_id == job_id, *([] if names is None else [Metric.name.in_(names)])]
    begin, end, size = func.min(Metric.step), func.max(Metric.step), func.count()
    count = points // _FEWEST_POINTS
    ranges = select(Metric.name, begin.label("first"), size.label("size"), ((end - begin + count) // count).label("width"))
    whole = ranges.where(*mine).group_by(Metric.name).subquery()
    part = (Metric.step - whole.c.first) // whole.c.width
    extremes = [func.min(Metric.value).label("least"), func.max(Metric.value).label("greatest")]
    parts = select(Metric.name, part.label("part"), begin.label("first"), end.label("last"), *extremes)
    parts_of = parts.join(whole, Metric.name == whole.c.name).where(*mine).group_by(Metric.name, part).subquery()
    at_end = Metric.step.in_([parts_of.c.first, parts_of.c.last])
    is_kept = or_(whole.c.size <= points, at_end, Metric.value.in_([parts_of.c.least, parts_of.c.greatest]))
    statement = (
        select(Metric.name, Metric.step, Metric.value, parts_of.c.part, or_(whole.c.size <= points, at_end))
        .join(whole, Metric.name == whole.c.name)
        .join(parts_of, (Metric.name == parts_of.c.name) & (part == parts_of.c.part))
        .where(*mine, is_kept)
        .order_by(Metric.name, Metric.step)
    )
    seen: set[tuple[str, int, float]] = set()
    for name, step, value, number, always in session.execute(statement):
        if always or (name, number, value) not in seen:  # of equal extremes the first
            yield name, step, value
        seen.add((name, number, value))
