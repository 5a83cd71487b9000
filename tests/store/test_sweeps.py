"""Sweeps and their jobs."""

import pytest
from sqlalchemy import Engine

from core.errors import NotFound
from core.jobspec.sweep import SweepSpec
from core.store import jobs, sweeps
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from tests.builders import claim_job, training_body, training_spec

SPEC = SweepSpec(name="three", base=training_body(), axes={"seed": [0, 1, 2]})


def create_sweep(engine: Engine) -> tuple[str, list[str]]:
    """Create a sweep of three jobs; return its id and theirs."""
    with write_session(engine) as session:
        row = sweeps.create(session, DEFAULT_PROJECT, SPEC)
        job_ids = [
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                training_spec(seed=index),
                dataset_id=DIGITS_ID,
                position=jobs.SweepPosition(row.id, index, "base"),
            ).id
            for index in range(SPEC.size)
        ]
    return row.id, job_ids


def test_a_sweeps_jobs_are_listed_in_their_order(engine: Engine) -> None:
    sweep_id, job_ids = create_sweep(engine)
    create_sweep(engine)
    claim_job(engine, job_ids[1])
    with read_session(engine) as session:
        assert [job.id for job in sweeps.jobs_of(session, sweep_id)] == job_ids
        assert sweeps.count_by_status(session, [sweep_id]) == {
            sweep_id: {"queued": 2, "running": 1}
        }
        listed, _ = jobs.list_jobs(session, DEFAULT_PROJECT, jobs.JobFilters(sweep=sweep_id))
        assert sorted(job.id for job in listed) == job_ids
        assert jobs.list_jobs(session, DEFAULT_PROJECT, jobs.JobFilters(sweep="' OR 1=1"))[0] == []


def test_a_sweeps_spec_is_stored_as_sent(engine: Engine) -> None:
    sweep_id, _ = create_sweep(engine)
    with read_session(engine) as session:
        assert SweepSpec.model_validate(sweeps.get(session, DEFAULT_PROJECT, sweep_id).spec) == SPEC


def test_cancelling_a_sweep_cancels_its_jobs(engine: Engine) -> None:
    sweep_id, job_ids = create_sweep(engine)
    claim_job(engine, job_ids[0])
    with write_session(engine) as session:
        assert sweeps.cancel_jobs(session, DEFAULT_PROJECT, sweep_id) == 3
    with write_session(engine) as session:
        assert sweeps.count_by_status(session, [sweep_id]) == {
            sweep_id: {"cancelling": 1, "cancelled": 2}
        }
        assert sweeps.cancel_jobs(session, DEFAULT_PROJECT, sweep_id) == 0


def test_another_projects_sweep_is_not_found(engine: Engine) -> None:
    sweep_id, _ = create_sweep(engine)
    with read_session(engine) as session:
        for project, reference in (
            ("prj_other", sweep_id),
            (DEFAULT_PROJECT, "swp_none"),
            (DEFAULT_PROJECT, "../x\0"),
        ):
            with pytest.raises(NotFound):
                sweeps.get(session, project, reference)
        assert sweeps.list_sweeps(session, "prj_other") == ([], None)
        assert [row.id for row in sweeps.list_sweeps(session, DEFAULT_PROJECT)[0]] == [sweep_id]
