"""Jobs as a caller sees them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import Engine, Row, update

import core.store
from core.errors import Conflict, Invalid, JobFailed, NotFound
from core.jobspec.job import ImportModelSpec
from core.jobspec.status import ACTIONS, STATUSES, TRANSITIONS, Action, Status
from core.store import attempts, events, jobs
from core.store.database.engine import read_session, write_session
from core.store.database.ids import is_id, new_id
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow, ModelRow, ProjectRow
from core.store.jobs import JobFilters
from core.store.lifecycle import transitions
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.registry import models, uploaded_items
from tests.builders import (
    create_attempt,
    create_job,
    create_teacher,
    distillation_spec,
    model_description,
    set_progress,
)


def ids(rows: Sequence[Row[Any]]) -> list[str]:
    return [row.id for row in rows]


def list_all(
    engine: Engine, filters: JobFilters | None = None, *, sort: str = "-created_at", limit: int = 50
) -> list[str]:
    """Return the ids of all jobs on all pages."""
    after: str | None = None
    job_ids: list[str] = []
    while True:
        with read_session(engine) as session:
            rows, after = jobs.list_jobs(
                session, DEFAULT_PROJECT, filters, sort=sort, after=after, limit=limit
            )
        job_ids += ids(rows)
        if after is None:
            return job_ids


def test_ids_are_unique_and_sort_by_time() -> None:
    job_ids = [new_id("job") for _ in range(2000)]
    assert job_ids == sorted(set(job_ids))
    assert all(is_id(text) for text in job_ids)
    assert not any(
        is_id(text)
        for text in ("", "job_", "../job_1", "job_1\n", "job_\0", "JOB_1", "job_" + "1" * 41)
    )


def test_a_submitted_job_is_queued_with_its_whole_spec(engine: Engine) -> None:
    teacher = create_teacher(engine)
    spec = distillation_spec(name="night run", metadata={"team": "vision"})
    with write_session(engine) as session:
        submitted = jobs.submit(
            session, DEFAULT_PROJECT, spec, dataset_id=DIGITS_ID, teacher_id=teacher.id
        )
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, submitted.id)
        history = events.list_after(session, job.id)
    assert (job.status, job.attempt, job.kind, job.method, job.student) == (
        "queued",
        0,
        "distillation",
        "arkd",
        "small_cnn",
    )
    assert (job.name, job.labels, job.dataset) == ("night run", {"team": "vision"}, "digits")
    assert type(spec).model_validate(job.spec) == spec
    assert [(event.seq, event.type, event.data["to"]) for event in history] == [
        (1, "status", "queued")
    ]


def test_another_projects_job_is_not_found(engine: Engine) -> None:
    with write_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
    job = create_job(engine)
    with read_session(engine) as session, pytest.raises(NotFound):
        jobs.get(session, "prj_other", job.id)
    with write_session(engine) as session, pytest.raises(NotFound):
        jobs.apply_action(session, "prj_other", job.id, "cancel")
    with read_session(engine) as session:
        assert jobs.list_jobs(session, "prj_other") == ([], None)


def test_unknown_and_malformed_ids_are_not_found(engine: Engine) -> None:
    for job_id in ("job_none", "", "../../etc", "job_\0", "' OR 1=1 --", "x" * 5000):
        with read_session(engine) as session, pytest.raises(NotFound):
            jobs.get(session, DEFAULT_PROJECT, job_id)


# -- lists


def test_pages_list_every_job_once_in_order(engine: Engine) -> None:
    job_ids = [create_job(engine).id for _ in range(7)]
    for limit in (1, 3, 7, 50):
        assert list_all(engine, sort="created_at", limit=limit) == job_ids
        assert list_all(engine, sort="-created_at", limit=limit) == job_ids[::-1]


def test_pages_do_not_shift_while_jobs_are_added(engine: Engine) -> None:
    job_ids = [create_job(engine).id for _ in range(6)]
    with read_session(engine) as session:
        first, after = jobs.list_jobs(session, DEFAULT_PROJECT, limit=3)
    create_job(engine)
    with read_session(engine) as session:
        second, end = jobs.list_jobs(session, DEFAULT_PROJECT, after=after, limit=3)
    assert ids(first) + ids(second) == job_ids[::-1]
    assert end is None


def test_jobs_of_the_same_millisecond_are_paged_by_id(engine: Engine) -> None:
    job_ids = [create_job(engine).id for _ in range(5)]
    with write_session(engine) as session:
        for job_id in job_ids:
            jobs.get(session, DEFAULT_PROJECT, job_id).created_at = 1
    assert list_all(engine, limit=2) == sorted(job_ids, reverse=True)


def test_filters_narrow_the_list(engine: Engine) -> None:
    plain = create_job(engine)
    labeled = create_job(engine, metadata={"team": "vision", "run.no-1": "a'b"})
    wide = create_job(engine, method={"name": "pgd_at"}, metadata={"team": "speech"})
    create_attempt(engine, wide)
    teacher = create_teacher(engine)
    with write_session(engine) as session:
        importing = jobs.submit(
            session,
            DEFAULT_PROJECT,
            ImportModelSpec(model_id=teacher.id, description=model_description()),
        )
    assert list_all(engine, JobFilters(statuses=("queued",))) == [
        importing.id,
        labeled.id,
        plain.id,
    ]
    assert list_all(engine, JobFilters(statuses=("running", "failed"))) == [wide.id]
    assert list_all(engine, JobFilters(kinds=("import_model",))) == [importing.id]
    assert list_all(engine, JobFilters(method="pgd_at")) == [wide.id]
    assert list_all(engine, JobFilters(student="small_cnn")) == [wide.id, labeled.id, plain.id]
    assert list_all(engine, JobFilters(dataset="digits")) == list_all(
        engine, JobFilters(dataset=DIGITS_ID)
    )
    assert list_all(engine, JobFilters(dataset="digits", method="trades")) == [
        labeled.id,
        plain.id,
    ]
    assert list_all(engine, JobFilters(dataset="cifar10")) == []
    assert list_all(engine, JobFilters(labels={"team": "vision", "run.no-1": "a'b"})) == [
        labeled.id
    ]
    assert list_all(engine, JobFilters(labels={"team": "vision", "run.no-1": "other"})) == []
    with read_session(engine) as session:
        assert jobs.count(session, DEFAULT_PROJECT) == 4
        assert (
            jobs.count(session, DEFAULT_PROJECT, JobFilters(kinds=("adversarial_training",))) == 3
        )
        assert jobs.count_by_status(session) == {"queued": 3, "running": 1}


@pytest.mark.parametrize("sort", ["name", "created_at; DROP TABLE jobs", "", "-version"])
def test_other_sort_keys_are_invalid(engine: Engine, sort: str) -> None:
    with read_session(engine) as session, pytest.raises(Invalid):
        jobs.list_jobs(session, DEFAULT_PROJECT, sort=sort)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "",
        "é",
        "bnVsbA",
        "WzEsIDJd",
        "WyIxIiwgIngiXQ",
        "A" * 100_000,
        "[" * 9,
        "WzFlOTk5LCJhIl0",
    ],
)
def test_a_cursor_that_no_page_returned_is_invalid(engine: Engine, cursor: str) -> None:
    with read_session(engine) as session, pytest.raises(Invalid) as caught:
        jobs.list_jobs(session, DEFAULT_PROJECT, after=cursor)
    assert caught.value.code == "invalid_cursor"


# -- status


def test_a_queued_job_is_cancelled_and_never_claimed(engine: Engine) -> None:
    job = create_job(engine)
    with write_session(engine) as session:
        cancelled, changed = jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
    assert (cancelled.status, changed) == ("cancelled", True)
    assert cancelled.finished_at is not None
    assert attempts.claim(engine, "worker-1", 30) is None


def test_cancelling_twice_changes_nothing(engine: Engine) -> None:
    attempt = create_attempt(engine)
    for expected in (True, False):
        with write_session(engine) as session:
            job, changed = jobs.apply_action(session, DEFAULT_PROJECT, attempt.job_id, "cancel")
        assert (job.status, changed) == ("cancelling", expected)
    with attempt.fenced_session() as (session, job):
        attempts.release(session, job, "its trainer has ended")
    with write_session(engine) as session:
        job, changed = jobs.apply_action(session, DEFAULT_PROJECT, attempt.job_id, "cancel")
    assert (job.status, changed) == ("cancelled", False)


def test_a_job_that_has_ended_cannot_be_cancelled(engine: Engine) -> None:
    succeeding = create_attempt(engine)
    failing = create_attempt(engine)
    with succeeding.fenced_session() as (session, job):
        attempts.succeed(session, job)
    with failing.fenced_session() as (session, job):
        apply_retry_policy(
            session, job, JobFailed("diverged", "user", "It diverged."), RetryPolicy()
        )
    for attempt, state in ((succeeding, "succeeded"), (failing, "failed")):
        with write_session(engine) as session, pytest.raises(Conflict, match=state):
            jobs.apply_action(session, DEFAULT_PROJECT, attempt.job_id, "cancel")


@pytest.mark.parametrize("action", get_args(Action))
def test_actions_are_possible_where_the_table_allows_them(engine: Engine, action: Action) -> None:
    for status in STATUSES:
        job = create_job(engine)
        with write_session(engine) as session:
            set_status(session.merge(job), status)
        with write_session(engine) as session:
            if status not in ACTIONS[action]:
                with pytest.raises(Conflict) as caught:
                    jobs.apply_action(session, DEFAULT_PROJECT, job.id, action)
                assert caught.value.code == f"job_{status}"
                continue
            new = ACTIONS[action][status]
            job, changed = jobs.apply_action(session, DEFAULT_PROJECT, job.id, action)
            assert (job.status, changed) == (new or status, new is not None)
            history = transitions.history(session, job.id)
        if new is not None:
            assert history[-1].data == {
                "from": status,
                "to": new,
                "reason": TRANSITIONS[status, new],
            }


def test_every_action_is_a_transition_of_the_table() -> None:
    transitions_of_actions = {
        (old, new) for states in ACTIONS.values() for old, new in states.items() if new is not None
    }
    assert transitions_of_actions <= TRANSITIONS.keys()


def test_a_retried_job_has_no_failures_and_its_next_number(engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        apply_retry_policy(
            session,
            job,
            JobFailed("worker_error", "infrastructure", "Its disk broke."),
            RetryPolicy(max_attempts=1),
        )
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, attempt.job_id, "retry")
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, attempt.job_id)
    assert (job.status, job.failure, job.infrastructure_failures, job.finished_at) == (
        "queued",
        None,
        0,
        None,
    )
    assert create_attempt(engine, job).number == 2


def test_an_import_is_not_retried(engine: Engine) -> None:
    with write_session(engine) as session:
        model = models.create(session, DEFAULT_PROJECT, "teacher", model_description())
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            ImportModelSpec(model_id=model.id, description=model_description()),
        )
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
    with write_session(engine) as session, pytest.raises(Conflict, match="upload again"):
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "retry")


def test_only_transitions_of_the_table_are_possible(engine: Engine) -> None:
    for old in STATUSES:
        for new in STATUSES:
            job = create_job(engine)
            with write_session(engine) as session:
                set_status(session.merge(job), old)
            with write_session(engine) as session:
                job = jobs.get(session, DEFAULT_PROJECT, job.id)
                if (old, new) in TRANSITIONS:
                    assert transitions.transition(session, job, new)
                    assert job.status == new
                    continue
                with pytest.raises(Conflict) as caught:
                    transitions.transition(session, job, new)
                assert caught.value.code == "illegal_move"
            with read_session(engine) as session:
                assert jobs.get(session, DEFAULT_PROJECT, job.id).status == old


def set_status(job: JobRow, status: Status) -> None:
    job.status = status


def test_a_transition_from_a_former_status_is_a_no_op(engine: Engine) -> None:
    stale = create_job(engine)
    create_attempt(engine, stale)
    with write_session(engine) as session:
        assert not transitions.transition(session, stale, "cancelled")
    with read_session(engine) as session:
        assert jobs.get(session, DEFAULT_PROJECT, stale.id).status == "running"


def test_status_is_assigned_in_one_module_only() -> None:
    folder = Path(core.store.__file__).parent
    modules = {
        path.name
        for path in folder.rglob("*.py")
        if re.search(r"job\.status = |status=new", path.read_text())
    }
    assert modules == {"transitions.py"}


def test_history_has_every_status_and_its_reason(engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        attempts.release(session, job, "its worker was shut down")
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, attempt.job_id, "cancel")
    with read_session(engine) as session:
        history = transitions.history(session, attempt.job_id)
    assert [event.data["to"] for event in history] == ["queued", "running", "queued", "cancelled"]
    assert [event.attempt for event in history] == [0, 1, 1, 1]
    assert history[2].data["reason"] == "its worker was shut down"


def test_changes_raise_the_version_and_renewals_do_not(engine: Engine) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    claimed = attempt.renew().version
    assert claimed > job.version
    assert attempt.renew().version == claimed
    set_progress(attempt, {"step": 1, "of": 10})
    assert attempt.renew().version > claimed


def test_queue_positions_count_from_1(engine: Engine) -> None:
    queued = [create_job(engine) for _ in range(3)]
    create_attempt(engine, queued[0])
    with read_session(engine) as session:
        positions = [
            jobs.queue_position(session, jobs.get(session, DEFAULT_PROJECT, job.id))
            for job in queued
        ]
    assert positions == [None, 1, 2]


def test_the_model_of_a_cancelled_import_is_refused(engine: Engine) -> None:
    with write_session(engine) as session:
        model = models.create(session, DEFAULT_PROJECT, "mine", model_description())
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            ImportModelSpec(model_id=model.id, description=model_description()),
        )
        model.import_job_id = job.id
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
    with read_session(engine) as session:
        model = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, model.id)
    assert (model.status, model.problem and model.problem["code"]) == (
        "refused",
        "import_cancelled",
    )


def finish(engine: Engine, finished_at: int | None, **changes: Any) -> str:
    """Return the id of a cancelled job with this end; without one it is queued."""
    job_id = create_job(engine, **changes).id
    if finished_at is not None:
        with write_session(engine) as session:
            jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")
            ended = update(JobRow).where(JobRow.id == job_id)
            session.execute(ended.values(finished_at=finished_at))
    return job_id


def test_list_by_end_has_ended_jobs_only(engine: Engine) -> None:
    """Also with labels, whose index is in the order of creation; equal times by id."""
    first, second, third = (
        finish(engine, end, metadata={"team": "vision"}) for end in (500, 900, 500)
    )
    finish(engine, None, metadata={"team": "vision"})
    with read_session(engine) as session:
        for filters in (JobFilters(), JobFilters(labels={"team": "vision"})):
            page, cursor = jobs.list_jobs(
                session, DEFAULT_PROJECT, filters, sort="-finished_at", limit=2
            )
            assert [row.id for row in page] == [second, third]
            page, cursor = jobs.list_jobs(
                session, DEFAULT_PROJECT, filters, sort="-finished_at", after=cursor, limit=2
            )
            assert ([row.id for row in page], cursor) == ([first], None)
        oldest, _ = jobs.list_jobs(session, DEFAULT_PROJECT, sort="finished_at", limit=1)
        assert [row.id for row in oldest] == [first]


def test_jobs_are_counted_by_status_under_filters(engine: Engine) -> None:
    create_job(engine, metadata={"team": "vision"})
    deleted = finish(engine, 5, metadata={"team": "vision"})
    finish(engine, 5)
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, deleted)
    expected: list[tuple[JobFilters, dict[str, int]]] = [
        (JobFilters(), {"queued": 1, "cancelled": 1}),
        (JobFilters(statuses=("cancelled", "failed")), {"cancelled": 1}),
        (JobFilters(text="vision"), {"queued": 1}),
        (JobFilters(ended=True), {"cancelled": 1}),
        (JobFilters(deleted=True), {"cancelled": 1}),
        (JobFilters(deleted=True, text="vision"), {"cancelled": 1}),
        (JobFilters(deleted=True, kinds=("evaluation",)), {}),
    ]
    with read_session(engine) as session:
        for filters, counts in expected:
            assert jobs.status_counts(session, DEFAULT_PROJECT, filters) == counts, filters
            assert jobs.count(session, DEFAULT_PROJECT, filters) == sum(counts.values())
        assert jobs.status_counts(session, "prj_other") == {}
        rows, _ = jobs.list_jobs(session, DEFAULT_PROJECT, JobFilters(deleted=True))
        assert [row.id for row in rows] == [deleted]
