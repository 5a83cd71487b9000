"""Deleted jobs, models and data sets are hidden, and can be restored."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from core.jobspec.sweep import SweepSpec
from core.store import attempts, events, jobs, sweeps
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, DatasetRow, JobRow, ModelRow
from core.store.lifecycle import transitions
from core.store.registry import datasets, models, uploaded_items
from core.store.registry.uploaded_items import Row
from tests.builders import (
    SHA256,
    create_attempt,
    create_job,
    create_teacher,
    dataset_description,
    distillation_spec,
    model_description,
    training_body,
    training_spec,
)


def create_dataset(engine: Engine, name: str = "mine") -> DatasetRow:
    with transaction(engine, FencedSession) as session:
        row = datasets.create(session, DEFAULT_PROJECT, name, "upload")
        return uploaded_items.mark_ready(
            session, row, dataset_description(), object_key=f"k-{row.id}", size=1, sha256=SHA256
        )


def create_cancelled_job(engine: Engine, **changes: Any) -> JobRow:
    job = create_job(engine, **changes)
    with write_session(engine) as session:
        return jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")[0]


def create_cancelled_sweep_job(engine: Engine) -> tuple[str, JobRow]:
    """Return the sweep's id and its job; check that it cannot be deleted before it ends."""
    with write_session(engine) as session:
        sweep = sweeps.create(session, DEFAULT_PROJECT, SweepSpec(base={}))
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            training_spec(metadata={"a": "b"}),
            dataset_id=DIGITS_ID,
            position=jobs.SweepPosition(sweep.id, 0, "line"),
        )
        with pytest.raises(Conflict) as caught:
            jobs.delete(session, DEFAULT_PROJECT, job.id)
        assert caught.value.code == "job_not_ended"
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
        with pytest.raises(NotFound):
            jobs.restore(session, DEFAULT_PROJECT, job.id)
    return sweep.id, job


def test_a_deleted_job_is_hidden_until_it_is_restored(engine: Engine) -> None:
    """It is in no list and no count, and not found by its id."""
    other = create_cancelled_job(engine, metadata={"a": "b"})
    sweep_id, job = create_cancelled_sweep_job(engine)
    filters = jobs.JobFilters(labels={"a": "b"})
    with write_session(engine) as session:
        assert jobs.delete(session, DEFAULT_PROJECT, job.id).deleted_at is not None
    with write_session(engine) as session:
        for access in (jobs.get, jobs.delete, partial(jobs.apply_action, action="retry")):
            with pytest.raises(NotFound):
                access(session, DEFAULT_PROJECT, job.id)
        listed = jobs.list_jobs(session, DEFAULT_PROJECT, filters)[0]
        assert [row.id for row in listed] == [other.id]
        assert jobs.count(session, DEFAULT_PROJECT) == 1
        assert jobs.count_by_status(session) == {"cancelled": 1}
        assert sweeps.jobs_of(session, sweep_id) == []
        assert sweeps.count_by_status(session, [sweep_id]) == {sweep_id: {}}
        with pytest.raises(NotFound):
            jobs.restore(session, "prj_other", job.id)
    with write_session(engine) as session:
        assert jobs.restore(session, DEFAULT_PROJECT, job.id).deleted_at is None
    with read_session(engine) as session:
        restored = jobs.get(session, DEFAULT_PROJECT, job.id)
        assert [event.type for event in events.list_after(session, job.id)] == [
            "status",
            "status",
            "deleted",
            "restored",
        ]
        assert restored.version > job.version
        assert transitions.history(session, job.id)[-1].data["to"] == "cancelled"
        assert jobs.count(session, DEFAULT_PROJECT, filters) == 2


def assert_deletion_frees_the_name(
    engine: Engine, row: Row, create_another: Callable[[], Row]
) -> None:
    """``create_another`` creates a row of the same name, "mine"."""
    table = type(row)
    with write_session(engine) as session:
        deleted = uploaded_items.delete_item(session, table, DEFAULT_PROJECT, "mine")
        assert deleted.id == row.id
    assert_is_hidden(engine, row)
    another = create_another()
    with write_session(engine) as session, pytest.raises(Conflict) as caught:
        uploaded_items.restore(session, table, DEFAULT_PROJECT, row.id)
    assert caught.value.code == "name_taken"
    with write_session(engine) as session:
        uploaded_items.delete_item(session, table, DEFAULT_PROJECT, another.id)
        restored = uploaded_items.restore(session, table, DEFAULT_PROJECT, row.id)
        assert restored.deleted_at is None
    with write_session(engine) as session:
        assert uploaded_items.get(session, table, DEFAULT_PROJECT, "mine").id == row.id
        with pytest.raises(NotFound):
            uploaded_items.restore(session, table, DEFAULT_PROJECT, row.id)


def assert_is_hidden(engine: Engine, row: Row) -> None:
    table = type(row)
    with write_session(engine) as session:
        for reference in ("mine", row.id):
            with pytest.raises(NotFound):
                uploaded_items.get(session, table, DEFAULT_PROJECT, reference)
            with pytest.raises(NotFound):
                uploaded_items.delete_item(session, table, DEFAULT_PROJECT, reference)
        listed = uploaded_items.list_items(session, table, DEFAULT_PROJECT)[0]
        assert row.id not in {item.id for item in listed}
        for project, reference in (
            ("prj_other", row.id),
            (DEFAULT_PROJECT, "mine"),
            (DEFAULT_PROJECT, "a\0b"),
        ):
            with pytest.raises(NotFound):
                uploaded_items.restore(session, table, project, reference)


def test_a_deleted_model_or_data_set_frees_its_name(engine: Engine) -> None:
    """It can be restored while its name is free."""
    assert_deletion_frees_the_name(
        engine,
        create_teacher(engine, name="mine"),
        lambda: create_teacher(engine, name="mine"),
    )
    assert_deletion_frees_the_name(engine, create_dataset(engine), lambda: create_dataset(engine))


def submit_jobs_with_inputs(
    engine: Engine, models_by_use: dict[str, ModelRow], dataset: DatasetRow, extra: DatasetRow
) -> list[JobRow]:
    """Submit jobs that need all of these inputs between them; the first one needs the teacher."""
    data = {**training_body()["data"], "extra": {"dataset": extra.id}}
    evaluation = EvaluationJobSpec.model_validate(
        {
            "kind": "evaluation",
            "model": models_by_use["evaluated"].id,
            "data": {"dataset": "digits"},
        }
    )
    with write_session(engine) as session:
        return [
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                distillation_spec(),
                dataset_id=dataset.id,
                teacher_id=models_by_use["teacher"].id,
            ),
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                training_spec(start_from=models_by_use["start"].id, data=data),
                dataset_id=DIGITS_ID,
            ),
            jobs.submit(
                session, DEFAULT_PROJECT, resolve(evaluation, DIGITS), dataset_id=DIGITS_ID
            ),
        ]


def delete_row(engine: Engine, row: Row) -> None:
    with write_session(engine) as session:
        uploaded_items.delete_item(session, type(row), DEFAULT_PROJECT, row.id)


def assert_is_in_use(engine: Engine, row: Row, submitted: list[JobRow]) -> None:
    with pytest.raises(Conflict) as caught:
        delete_row(engine, row)
    assert caught.value.code == "in_use"
    assert any(job.id in caught.value.message for job in submitted)


def test_inputs_of_a_job_that_has_not_ended_are_not_deleted(engine: Engine) -> None:
    models_by_use = {
        use: create_teacher(engine, name=use) for use in ("teacher", "start", "evaluated")
    }
    dataset = create_dataset(engine)
    extra = create_dataset(engine, "extra")
    submitted = submit_jobs_with_inputs(engine, models_by_use, dataset, extra)
    for model in models_by_use.values():
        assert_is_in_use(engine, model, submitted)
    for row in (dataset, extra):
        assert_is_in_use(engine, row, submitted)
    with write_session(engine) as session:
        for job in submitted:
            jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
    for model in models_by_use.values():
        delete_row(engine, model)
    for row in (dataset, extra):
        delete_row(engine, row)
    first_id = submitted[0].id
    with read_session(engine) as session:
        first = jobs.get(session, DEFAULT_PROJECT, first_id)
        assert first.teacher_id == models_by_use["teacher"].id
        listed = jobs.list_jobs(session, DEFAULT_PROJECT, jobs.JobFilters(dataset=dataset.id))[0]
        assert [job.id for job in listed] == [first_id]
        assert jobs.count(session, DEFAULT_PROJECT, jobs.JobFilters(dataset="mine")) == 0


def test_importing_and_built_in_rows_are_not_deleted(engine: Engine) -> None:
    with write_session(engine) as session:
        model = models.create(session, DEFAULT_PROJECT, "mine", model_description())
        with pytest.raises(Conflict) as caught:
            uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, model.id)
        assert caught.value.code == "importing"
        with pytest.raises(Conflict) as caught:
            uploaded_items.delete_item(session, DatasetRow, DEFAULT_PROJECT, "digits")
        assert caught.value.code == "built_in"
        awaiting = models.create(
            session, DEFAULT_PROJECT, "other", model_description(), status="awaiting_upload"
        )
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, awaiting.id)
        with pytest.raises(NotFound):
            uploaded_items.record_upload_progress(session, ModelRow, awaiting.id)
        with pytest.raises(Conflict):
            uploaded_items.begin_import(session, awaiting, "job_1", size=1, sha256=SHA256)


def test_a_deleted_jobs_student_is_found_by_name_only(engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        student = models.publish(
            session, job, model_description(), object_key="k", size=1, sha256=SHA256
        )
        attempts.succeed(session, job, {}, student.id)
    with write_session(engine) as plain_session:
        jobs.delete(plain_session, DEFAULT_PROJECT, attempt.job_id)
        usable = models.find_usable(plain_session, DEFAULT_PROJECT, student.name)
        assert usable.id == student.id
        with pytest.raises(Invalid):
            models.find_usable(plain_session, DEFAULT_PROJECT, attempt.job_id)


def test_no_job_is_queued_whose_teacher_is_being_deleted(engine: Engine) -> None:
    """The submission is refused or the deletion, whichever commits last."""
    for first in ("delete", "submit"):
        teacher = create_teacher(engine, name=first)
        codes: list[str] = []

        def delete(session: Session, teacher: ModelRow = teacher) -> None:
            uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, teacher.id)

        def submit(session: Session, teacher: ModelRow = teacher) -> None:
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                distillation_spec(),
                dataset_id=DIGITS_ID,
                teacher_id=teacher.id,
            )

        def conflict(write: Callable[[Session], None], codes: list[str] = codes) -> None:
            try:
                with write_session(engine) as session:
                    write(session)
            except Conflict as error:
                codes.append(error.code)

        thread = threading.Thread(target=conflict, args=(submit if first == "delete" else delete,))
        with write_session(engine) as session:
            (delete if first == "delete" else submit)(session)
            thread.start()
            time.sleep(0.3)  # the other one waits by now, or comes later: the outcome is the same
        thread.join()
        assert codes == ["input_deleted" if first == "delete" else "in_use"]
