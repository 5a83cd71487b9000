"""Values of training steps. A step that is trained again after a crash replaces its earlier values."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from core.store.fence import Fenced
from core.store.tables import Metric
from core.store.upsert import insert

Series = dict[str, list[tuple[int, float]]]
_FEWEST_POINTS = 4


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
    part = (Metric.step - first) // width
    orders = [(Metric.step,), (Metric.step.desc(),), (Metric.value, Metric.step), (Metric.value.desc(), Metric.step)]
    ranks = [func.row_number().over(partition_by=part, order_by=order).label(f"rank_{n}") for n, order in enumerate(orders)]
    ranked = select(Metric.step, Metric.value, *ranks).where(Metric.job_id == job_id, Metric.name == name).subquery()
    is_kept = or_(*(ranked.c[rank.name] == 1 for rank in ranks))
    statement = select(ranked.c.step, ranked.c.value).where(is_kept).order_by(ranked.c.step)
    return [(step, value) for step, value in session.execute(statement)]
