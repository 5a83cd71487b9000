"""Jobs as a caller sees them."""

import re
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import Engine

import core.store
from core.errors import Conflict, Invalid, JobFailed, NotFound
from core.jobspec.job import ImportModelSpec
from core.jobspec.status import ACTIONS, TRANSITIONS, STATUSES, Action, Status
from core.store import attempts, events, jobs, models, uploaded_items
from core.store.database.engine import read_session, write_session
from core.store.database.ids import is_id, new_id
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow, ModelRow, ProjectRow
from core.store.jobs import JobFilters
from core.store.lifecycle import transitions
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.builders import (
    create_job,
    create_teacher,
    create_attempt,
    distillation_spec,
    set_progress,
    model_description,
)


def ids(found: list[JobRow]) -> list[str]:
    return [job.id for job in found]


def everything(
    engine: Engine, filters: JobFilters | None = None, *, sort: str = "-created_at", limit: int = 50
) -> list[str]:
    after, found = None, []
    while True:
        with read_session(engine) as session:
            rows, after = jobs.list_jobs(
                session, DEFAULT_PROJECT, filters, sort=sort, after=after, limit=limit
            )
        found += ids(rows)
        if after is None:
            return found


def test_ids_sort_by_time_and_are_never_the_same() -> None:
    made = [new_id("job") for _ in range(2000)]
    assert made == sorted(set(made))
    assert all(is_id(text) for text in made)
    assert not any(
        is_id(text)
        for text in ("", "job_", "../job_1", "job_1\n", "job_\0", "JOB_1", "job_" + "1" * 41)
    )


def test_a_submitted_job_is_queued_and_holds_its_whole_spec(engine: Engine) -> None:
    teacher = create_teacher(engine)
    spec = distillation_spec(name="night run", metadata={"team": "vision"})
    with write_session(engine) as session:
        made = jobs.submit(
            session, DEFAULT_PROJECT, spec, dataset_id=DIGITS_ID, teacher_id=teacher.id
        )
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, made.id)
        first = events.list_after(session, job.id)
    assert (job.status, job.attempt, job.kind, job.method, job.student) == (
        "queued",
        0,
        "distillation",
        "arkd",
        "small_cnn",
    )
    assert (job.name, job.labels, job.dataset) == ("night run", {"team": "vision"}, "digits")
    assert type(spec).model_validate(job.spec) == spec
    assert [(event.seq, event.type, event.data["to"]) for event in first] == [
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


def test_an_id_that_there_is_not_is_not_found(engine: Engine) -> None:
    for job_id in ("job_none", "", "../../etc", "job_\0", "' OR 1=1 --", "x" * 5000):
        with read_session(engine) as session, pytest.raises(NotFound):
            jobs.get(session, DEFAULT_PROJECT, job_id)


# -- lists


def test_pages_show_every_job_once_in_order(engine: Engine) -> None:
    made = [create_job(engine).id for _ in range(7)]
    for limit in (1, 3, 7, 50):
        assert everything(engine, sort="created_at", limit=limit) == made
        assert everything(engine, sort="-created_at", limit=limit) == made[::-1]


def test_pages_stay_in_place_while_jobs_are_added(engine: Engine) -> None:
    made = [create_job(engine).id for _ in range(6)]
    with read_session(engine) as session:
        first, after = jobs.list_jobs(session, DEFAULT_PROJECT, limit=3)
    create_job(engine)
    with read_session(engine) as session:
        second, end = jobs.list_jobs(session, DEFAULT_PROJECT, after=after, limit=3)
    assert ids(first) + ids(second) == made[::-1]
    assert end is None


def test_jobs_of_the_same_millisecond_are_told_apart(engine: Engine) -> None:
    made = [create_job(engine).id for _ in range(5)]
    with write_session(engine) as session:
        for job_id in made:
            jobs.get(session, DEFAULT_PROJECT, job_id).created_at = 1
    assert everything(engine, limit=2) == sorted(made, reverse=True)


def test_filters_narrow_the_list(engine: Engine) -> None:
    plain = create_job(engine)
    labelled = create_job(engine, metadata={"team": "vision", "run.no-1": "a'b"})
    wide = create_job(engine, method={"name": "pgd_at"}, metadata={"team": "speech"})
    create_attempt(engine, wide)
    teacher = create_teacher(engine)
    with write_session(engine) as session:
        importing = jobs.submit(
            session,
            DEFAULT_PROJECT,
            ImportModelSpec(model_id=teacher.id, description=model_description()),
        )
    assert everything(engine, JobFilters(statuses=("queued",))) == [
        importing.id,
        labelled.id,
        plain.id,
    ]
    assert everything(engine, JobFilters(statuses=("running", "failed"))) == [wide.id]
    assert everything(engine, JobFilters(kinds=("import_model",))) == [importing.id]
    assert everything(engine, JobFilters(method="pgd_at")) == [wide.id]
    assert everything(engine, JobFilters(student="small_cnn")) == [wide.id, labelled.id, plain.id]
    assert everything(engine, JobFilters(dataset="digits")) == everything(
        engine, JobFilters(dataset=DIGITS_ID)
    )
    assert everything(engine, JobFilters(dataset="digits", method="trades")) == [
        labelled.id,
        plain.id,
    ]
    assert everything(engine, JobFilters(dataset="cifar10")) == []
    assert everything(engine, JobFilters(labels={"team": "vision", "run.no-1": "a'b"})) == [
        labelled.id
    ]
    assert everything(engine, JobFilters(labels={"team": "vision", "run.no-1": "other"})) == []
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
def test_a_cursor_that_no_page_gave_out_is_invalid(engine: Engine, cursor: str) -> None:
    with read_session(engine) as session, pytest.raises(Invalid) as caught:
        jobs.list_jobs(session, DEFAULT_PROJECT, after=cursor)
    assert caught.value.code == "invalid_cursor"


# -- status


def test_a_queued_job_is_cancelled_at_once_and_never_claimed(engine: Engine) -> None:
    job = create_job(engine)
    with write_session(engine) as session:
        cancelled, changed = jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
    assert (cancelled.status, changed) == ("cancelled", True)
    assert cancelled.finished_at is not None
    assert attempts.claim(engine, job.id, "worker-1", 30) is None


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
    good, bad = create_attempt(engine), create_attempt(engine)
    with good.fenced_session() as (session, job):
        attempts.succeed(session, job)
    with bad.fenced_session() as (session, job):
        apply_retry_policy(
            session, job, JobFailed("diverged", "user", "It diverged."), RetryPolicy()
        )
    for attempt, state in ((good, "succeeded"), (bad, "failed")):
        with write_session(engine) as session, pytest.raises(Conflict, match=state):
            jobs.apply_action(session, DEFAULT_PROJECT, attempt.job_id, "cancel")


@pytest.mark.parametrize("action", get_args(Action))
def test_a_user_may_ask_what_the_table_says_in_each_state_and_nothing_else(
    engine: Engine, action: Action
) -> None:
    for status in STATUSES:
        job = create_job(engine)
        with write_session(engine) as session:
            put_into(session.merge(job), status)
        with write_session(engine) as session:
            if status not in ACTIONS[action]:
                with pytest.raises(Conflict) as caught:
                    jobs.apply_action(session, DEFAULT_PROJECT, job.id, action)
                assert caught.value.code == f"job_{status}"
                continue
            new = ACTIONS[action][status]
            found, changed = jobs.apply_action(session, DEFAULT_PROJECT, job.id, action)
            assert (found.status, changed) == (new or status, new is not None)
            history = transitions.history(session, job.id)
        if new is not None:
            assert history[-1].data == {"from": status, "to": new, "reason": TRANSITIONS[status, new]}


def test_every_state_that_a_user_can_bring_about_is_a_move_of_the_table() -> None:
    asked = {
        (old, new) for states in ACTIONS.values() for old, new in states.items() if new is not None
    }
    assert asked <= TRANSITIONS.keys()


def test_a_job_that_is_tried_again_begins_with_a_clean_slate_and_its_next_number(
    engine: Engine,
) -> None:
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


def test_an_import_is_not_tried_again(engine: Engine) -> None:
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


def test_only_the_tables_moves_are_possible(engine: Engine) -> None:
    for old in STATUSES:
        for new in STATUSES:
            job = create_job(engine)
            with write_session(engine) as session:
                put_into(session.merge(job), old)
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


def put_into(job: JobRow, status: Status) -> None:
    job.status = status


def test_a_move_from_a_state_that_has_passed_changes_nothing(engine: Engine) -> None:
    stale = create_job(engine)
    create_attempt(engine, stale)
    with write_session(engine) as session:
        assert not transitions.transition(session, stale, "cancelled")
    with read_session(engine) as session:
        assert jobs.get(session, DEFAULT_PROJECT, stale.id).status == "running"


def test_status_is_assigned_in_one_module_only() -> None:
    folder = Path(core.store.__file__).parent
    assigned = {
        path.name
        for path in folder.rglob("*.py")
        if re.search(r"job\.status = |status=new", path.read_text())
    }
    assert assigned == {"transitions.py"}


def test_history_tells_every_state_and_why(engine: Engine) -> None:
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


def test_every_change_raises_the_version_and_a_heartbeat_does_not(engine: Engine) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    claimed = attempt.renew().version
    assert claimed > job.version
    assert attempt.renew().version == claimed
    set_progress(attempt, {"step": 1, "of": 10})
    assert attempt.renew().version > claimed


def test_places_in_the_queue_count_from_1(engine: Engine) -> None:
    made = [create_job(engine) for _ in range(3)]
    create_attempt(engine, made[0])
    with read_session(engine) as session:
        places = [
            jobs.queue_position(session, jobs.get(session, DEFAULT_PROJECT, job.id)) for job in made
        ]
    assert places == [None, 1, 2]


def test_what_a_cancelled_import_was_to_open_is_refused(engine: Engine) -> None:
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
