"""Metric values of training steps, complete and thinned."""

import math
import random

import pytest
from sqlalchemy import Engine, QueuePool

from core.store import metrics
from core.store.database.engine import read_session, transaction
from core.store.database.fence import FencedSession
from tests.builders import create_job


def test_a_repeated_step_replaces_its_values(engine: Engine) -> None:
    job = create_job(engine)
    with transaction(engine, FencedSession) as session:
        metrics.record(session, job.id, 1, 1, {"loss": 2.0, "accuracy": 0.5})
        metrics.record_many(
            session, job.id, 2, [(1, {"loss": 1.0}), (2, {"loss": 0.5}), (2, {"loss": 0.25})]
        )
    with read_session(engine) as session:
        assert metrics.load_series(session, [job.id])[job.id] == {
            "accuracy": [(1, 0.5)],
            "loss": [(1, 1.0), (2, 0.25)],
        }
        assert metrics.load_series(session, [job.id], names=["loss", "none"])[job.id] == {
            "loss": [(1, 1.0), (2, 0.25)]
        }
        assert sorted(metrics.load_series(session, [job.id])[job.id]) == ["accuracy", "loss"]
    assert list(metrics.stream_values(engine, job.id)) == [
        ("accuracy", 1, 0.5),
        ("loss", 1, 1.0),
        ("loss", 2, 0.25),
    ]


def test_a_stream_holds_no_connection_between_its_batches(engine: Engine) -> None:
    """It has every value once, sorted by name and step."""
    job = create_job(engine)
    with transaction(engine, FencedSession) as session:
        metrics.record_many(
            session, job.id, 1, [(step, {"a": 1.0, "b": 2.0}) for step in range(3000)]
        )
    values = metrics.stream_values(engine, job.id)
    first = next(values)
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedout() == 0
    assert [first, *values] == [
        (name, step, value) for name, value in (("a", 1.0), ("b", 2.0)) for step in range(3000)
    ]
    assert [step for _, step, _ in metrics.stream_values(engine, job.id, ["b"])] == list(
        range(3000)
    )


def test_non_finite_values_are_left_out(engine: Engine) -> None:
    job = create_job(engine)
    with transaction(engine, FencedSession) as session:
        metrics.record(
            session, job.id, 1, 1, {"a": math.nan, "b": math.inf, "c": 1e-300, "d": 1e300}
        )
        metrics.record(session, job.id, 1, 2, {"a": math.nan})
    with read_session(engine) as session:
        assert metrics.load_series(session, [job.id])[job.id] == {
            "c": [(1, 1e-300)],
            "d": [(1, 1e300)],
        }


@pytest.mark.parametrize("points", [4, 40, 203])
def test_thinned_series_keep_ends_and_extremes(engine: Engine, points: int) -> None:
    job = create_job(engine)
    generator = random.Random(0)
    # Rounded, so that many values are equal.
    values = {step: round(generator.gauss(0, 1), 1) for step in range(5, 2000)}
    values[1002] = 1000.0
    values[1501] = -1000.0
    with transaction(engine, FencedSession) as session:
        metrics.record_many(
            session,
            job.id,
            1,
            [(step, {"loss": value, "short": 0.0}) for step, value in values.items()],
        )
        metrics.record_many(session, job.id, 1, [(1, {"few": 1.0}), (9, {"few": 2.0})])
    with read_session(engine) as session:
        thinned = metrics.load_series(session, [job.id], points=points)[job.id]
    loss = dict(thinned["loss"])
    assert len(loss) <= points
    assert list(loss) == sorted(loss)
    assert all(values[step] == value for step, value in loss.items())
    intervals = points // 4
    width = math.ceil((max(values) - min(values) + 1) / intervals)
    for interval in range(intervals):
        begin = 5 + interval * width
        inside = {step: values[step] for step in range(begin, min(begin + width, 2000))}
        remaining = {step: value for step, value in loss.items() if step in inside}
        assert {min(inside), max(inside)} <= set(remaining)
        assert (min(remaining.values()), max(remaining.values())) == (
            min(inside.values()),
            max(inside.values()),
        )
    assert len(thinned["short"]) <= points
    assert thinned["few"] == [(1, 1.0), (9, 2.0)]


@pytest.mark.parametrize("points", [None, 40])
def test_series_of_many_jobs_are_those_of_each(engine: Engine, points: int | None) -> None:
    """Also where a metric is long in one job, short in another and missing in a third."""
    jobs = [create_job(engine) for _ in range(4)]
    lengths = [{"loss": 1000, "rate": 3}, {"loss": 5, "rate": 500}, {"loss": 5, "rate": 3}, {}]
    with transaction(engine, FencedSession) as session:
        for job, length in zip(jobs, lengths, strict=True):
            for name, count in length.items():
                rows = [(step, {name: float(step % 7)}) for step in range(count)]
                metrics.record_many(session, job.id, 1, rows)
    ids = [job.id for job in reversed(jobs)]
    with read_session(engine) as session:
        together = metrics.load_series(session, ids, points=points)
        for job, length in zip(jobs, lengths, strict=True):
            alone = metrics.load_series(session, [job.id], points=points)
            assert together[job.id] == alone[job.id]
            assert list(alone[job.id]) == sorted(length)
            of_loss = metrics.load_series(session, ids, ["loss"], points)[job.id]
            assert of_loss == {name: alone[job.id][name] for name in length if name == "loss"}
    assert list(together) == ids


@pytest.mark.parametrize("points", [None, 40])
def test_steps_bound_the_series(engine: Engine, points: int | None) -> None:
    """Both bounds are included, and a part of a long series is thinned by itself."""
    job = create_job(engine)
    with transaction(engine, FencedSession) as session:
        rows = [(step, {"loss": float(step)}) for step in range(1000)]
        metrics.record_many(session, job.id, 1, rows)
    steps = metrics.StepRange(first=500, last=519)
    with read_session(engine) as session:
        series = metrics.load_series(session, [job.id], points=points, steps=steps)[job.id]
        wide = metrics.StepRange(first=200)
        thinned = metrics.load_series(session, [job.id], points=40, steps=wide)[job.id]["loss"]
    assert series == {"loss": [(step, float(step)) for step in range(500, 520)]}
    assert (thinned[0], thinned[-1]) == ((200, 200.0), (999, 999.0))
    assert len(thinned) <= 40
