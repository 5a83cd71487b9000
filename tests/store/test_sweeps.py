"""Sweeps and their jobs, on both databases."""

import pytest
from sqlalchemy import Engine

from core.errors import NotFound
from core.jobspec.sweep import SweepSpec
from core.store import attempts, jobs, sweeps
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from tests.builders import training_body, training_spec

SPEC = SweepSpec(name="three", base=training_body(), axes={"seed": [0, 1, 2]})


def a_sweep(engine: Engine) -> tuple[str, list[str]]:
    """Its id and those of its jobs."""
    with write_session(engine) as session:
        row = sweeps.create(session, DEFAULT_PROJECT, SPEC)
        made = [
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                training_spec(seed=index),
                dataset_id=DIGITS_ID,
                position=jobs.SweepPosition(row.id, index, "base"),
            ).id
            for index in range(SPEC.size)
        ]
    return row.id, made


def test_a_sweeps_jobs_come_in_their_order_whatever_became_of_them(engine: Engine) -> None:
    sweep_id, made = a_sweep(engine)
    a_sweep(engine)
    attempts.claim(engine, made[1], "worker", 30)
    with read_session(engine) as session:
        assert [job.id for job in sweeps.jobs_of(session, sweep_id)] == made
        assert sweeps.count_by_status(session, [sweep_id]) == {sweep_id: {"queued": 2, "running": 1}}
        listed, _ = jobs.list_jobs(session, DEFAULT_PROJECT, jobs.JobFilters(sweep=sweep_id))
        assert sorted(job.id for job in listed) == made
        assert jobs.list_jobs(session, DEFAULT_PROJECT, jobs.JobFilters(sweep="' OR 1=1"))[0] == []


def test_the_spec_comes_back_as_it_was_sent(engine: Engine) -> None:
    sweep_id, _ = a_sweep(engine)
    with read_session(engine) as session:
        assert SweepSpec.model_validate(sweeps.get(session, DEFAULT_PROJECT, sweep_id).spec) == SPEC


def test_cancelling_ends_what_waits_and_asks_what_runs(engine: Engine) -> None:
    sweep_id, made = a_sweep(engine)
    attempts.claim(engine, made[0], "worker", 30)
    with write_session(engine) as session:
        assert sweeps.cancel_jobs(session, DEFAULT_PROJECT, sweep_id) == 3
    with write_session(engine) as session:
        assert sweeps.count_by_status(session, [sweep_id]) == {sweep_id: {"cancelling": 1, "cancelled": 2}}
        assert sweeps.cancel_jobs(session, DEFAULT_PROJECT, sweep_id) == 0


def test_another_projects_sweep_is_not_there(engine: Engine) -> None:
    sweep_id, _ = a_sweep(engine)
    with read_session(engine) as session:
        for project, wanted in (
            ("prj_other", sweep_id),
            (DEFAULT_PROJECT, "swp_none"),
            (DEFAULT_PROJECT, "../x\0"),
        ):
            with pytest.raises(NotFound):
                sweeps.get(session, project, wanted)
        assert sweeps.list_sweeps(session, "prj_other") == ([], None)
        assert [row.id for row in sweeps.list_sweeps(session, DEFAULT_PROJECT)[0]] == [sweep_id]
