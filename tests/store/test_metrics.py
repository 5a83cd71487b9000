"""Values of training steps, whole and thinned."""

import math
import random

import pytest
from sqlalchemy import Engine

from core.store import metrics
from core.store.database.engine import read_session, write_session
from tests.builders import create_job


def test_a_step_that_is_trained_again_replaces_its_values(engine: Engine) -> None:
    job = create_job(engine)
    with write_session(engine) as session:
        metrics.record(session, job.id, 1, 1, {"loss": 2.0, "accuracy": 0.5})
        metrics.record_many(
            session, job.id, 2, [(1, {"loss": 1.0}), (2, {"loss": 0.5}), (2, {"loss": 0.25})]
        )
    with read_session(engine) as session:
        assert metrics.load_series(session, job.id) == {
            "accuracy": [(1, 0.5)],
            "loss": [(1, 1.0), (2, 0.25)],
        }
        assert metrics.load_series(session, job.id, names=["loss", "none"]) == {
            "loss": [(1, 1.0), (2, 0.25)]
        }
        assert metrics.list_names(session, job.id) == ["accuracy", "loss"]
    assert list(metrics.stream_values(engine, job.id)) == [
        ("accuracy", 1, 0.5),
        ("loss", 1, 1.0),
        ("loss", 2, 0.25),
    ]


def test_a_stream_has_every_value_once_and_holds_no_connection_between_its_parts(
    engine: Engine,
) -> None:
    job = create_job(engine)
    with write_session(engine) as session:
        metrics.record_many(
            session, job.id, 1, [(step, {"a": 1.0, "b": 2.0}) for step in range(3000)]
        )
    given = metrics.stream_values(engine, job.id)
    first = next(given)
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert [first, *given] == [
        (name, step, value) for name, value in (("a", 1.0), ("b", 2.0)) for step in range(3000)
    ]
    assert [step for _, step, _ in metrics.stream_values(engine, job.id, ["b"])] == list(range(3000))


def test_values_that_are_not_finite_are_left_out(engine: Engine) -> None:
    job = create_job(engine)
    with write_session(engine) as session:
        metrics.record(
            session, job.id, 1, 1, {"a": math.nan, "b": math.inf, "c": 1e-300, "d": 1e300}
        )
        metrics.record(session, job.id, 1, 2, {"a": math.nan})
    with read_session(engine) as session:
        assert metrics.load_series(session, job.id) == {"c": [(1, 1e-300)], "d": [(1, 1e300)]}


@pytest.mark.parametrize("points", [4, 40, 203])
def test_thinned_series_keep_ends_and_extremes_of_every_part(engine: Engine, points: int) -> None:
    job = create_job(engine)
    draw = random.Random(0)
    whole = {
        step: round(draw.gauss(0, 1), 1) for step in range(5, 2000)
    }  # rounded: many equal values
    whole[1002], whole[1501] = 1000.0, -1000.0
    with write_session(engine) as session:
        metrics.record_many(
            session,
            job.id,
            1,
            [(step, {"loss": value, "short": 0.0}) for step, value in whole.items()],
        )
        metrics.record_many(session, job.id, 1, [(1, {"few": 1.0}), (9, {"few": 2.0})])
    with read_session(engine) as session:
        thinned = metrics.load_series(session, job.id, points=points)
    kept = dict(thinned["loss"])
    assert len(kept) <= points
    assert list(kept) == sorted(kept)
    assert all(whole[step] == value for step, value in kept.items())
    parts = points // 4
    width = math.ceil((max(whole) - min(whole) + 1) / parts)
    for part in range(parts):
        begin = 5 + part * width
        inside = {step: whole[step] for step in range(begin, min(begin + width, 2000))}
        shown = {step: value for step, value in kept.items() if step in inside}
        assert {min(inside), max(inside)} <= set(shown)
        assert (min(shown.values()), max(shown.values())) == (
            min(inside.values()),
            max(inside.values()),
        )
    assert len(thinned["short"]) <= points
    assert thinned["few"] == [(1, 1.0), (9, 2.0)]
