"""What a finished job cost is recorded, and predicts what the next one will."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, select

from core.jobspec.cost import passes
from core.jobspec.data import DIGITS
from core.store import jobs
from core.store.database.engine import read_session, transaction
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, JobCostRow, JobRow
from core.store.estimates import job_costs
from tests.builders import create_attempt, create_job, training_spec
from worker.resources.job_cost import record_cost

COST = {
    "device": "cpu",
    "device_name": "a CPU",
    "seconds": {"preparing": 1.0, "training": 20.0, "evaluating": 6.0, "exporting": 2.0},
    "networks": 2,
    "measures": {"clean": 1.0, "pgd": 4.0, "gradient_checks": 0.5},
}


def record(engine: Engine, summary: dict[str, Any], job: JobRow | None = None) -> JobRow:
    attempt = create_attempt(engine, job)
    with attempt.fenced_session() as (session, running):
        record_cost(session, running, training_spec(), summary)
        return running


def rows(engine: Engine) -> Sequence[JobCostRow]:
    with read_session(engine) as session:
        return session.scalars(select(JobCostRow)).all()


def test_cost_is_recorded_with_what_it_depends_on(engine: Engine) -> None:
    job = record(engine, {"cost": COST})
    (row,) = rows(engine)
    spec = training_spec()
    assert (row.job_id, row.project_id, row.device_name) == (job.id, DEFAULT_PROJECT, "a CPU")
    assert (row.architecture, row.method, row.batch_size) == ("small_cnn", "trades", 64)
    assert (row.image_side, row.precision, row.compiled) == (8, "fp32", False)
    assert row.training_passes == passes.training_passes(spec, DIGITS)
    assert row.training_seconds == 20.0
    # Of the attacks on two networks, of the checks on one: 64 images, PGD-2.
    assert row.measures == {
        "clean": {"passes": 2 * 64, "seconds": 1.0},
        "pgd": {"passes": 2 * 64 * 3, "seconds": 4.0},
        "gradient_checks": {"passes": 64, "seconds": 0.5},
    }
    assert row.other_seconds == pytest.approx(29.0 - 20.0 - 5.5, abs=0.01)


@pytest.mark.parametrize(
    "summary",
    [{}, {"cost": None}, {"cost": {**COST, "device": "abacus"}}, {"cost": {"device": "cpu"}}],
    ids=str,
)
def test_what_was_not_measured_is_not_recorded(engine: Engine, summary: dict[str, Any]) -> None:
    """Trainers of earlier releases measure nothing; their jobs succeed all the same."""
    record(engine, summary)
    assert rows(engine) == []


def test_cost_outlives_its_job(engine: Engine) -> None:
    job = record(engine, {"cost": COST})
    with transaction(engine, FencedSession) as session:
        session.delete(jobs.get(session, DEFAULT_PROJECT, job.id))
    assert [row.job_id for row in rows(engine)] == [job.id]


def test_a_second_run_replaces_the_first(engine: Engine) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    for seconds in (20.0, 30.0):
        cost = {**COST, "seconds": {"training": seconds}}
        with attempt.fenced_session() as (session, running):
            record_cost(session, running, training_spec(), {"cost": cost})
    assert [row.training_seconds for row in rows(engine)] == [30.0]


def test_latest_are_of_device_and_architecture(engine: Engine) -> None:
    for name in ("a CPU", "a GPU"):
        record(engine, {"cost": {**COST, "device_name": name}})
    with read_session(engine) as session:
        assert len(job_costs.latest(session, "a GPU", "small_cnn")) == 1
        assert job_costs.latest(session, "a GPU", "resnet18") == []
        assert job_costs.latest(session, "another", "small_cnn") == []
