"""Jobs, models and data sets that are deleted are nobody's to see, and come back whole."""

import threading
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
from core.store import attempts, datasets, events, jobs, models, sweeps, uploaded_items
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, DatasetRow, JobRow, ModelRow
from core.store.lifecycle import transitions
from tests.builders import (
    SHA256,
    create_job,
    create_teacher,
    create_attempt,
    dataset_description,
    distillation_spec,
    model_description,
    training_body,
    training_spec,
)


def a_dataset(engine: Engine, name: str = "mine") -> DatasetRow:
    with write_session(engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, name, "upload")
        return uploaded_items.mark_ready(
            session, row, dataset_description(), object_key=f"k-{row.id}", size=1, sha256=SHA256
        )


def a_cancelled_job(engine: Engine, **changes: Any) -> JobRow:
    job = create_job(engine, **changes)
    with write_session(engine) as session:
        return jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")[0]


def test_a_deleted_job_is_in_no_list_no_count_and_under_no_id_until_it_is_restored(
    engine: Engine,
) -> None:
    kept = a_cancelled_job(engine, metadata={"a": "b"})
    with write_session(engine) as session:
        sweep = sweeps.create(session, DEFAULT_PROJECT, SweepSpec(base={}))
        place = jobs.SweepPosition(sweep.id, 0, "line")
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            training_spec(metadata={"a": "b"}),
            dataset_id=DIGITS_ID,
            position=place,
        )
        with pytest.raises(Conflict) as caught:
            jobs.delete(session, DEFAULT_PROJECT, job.id)
        assert caught.value.code == "job_not_ended"
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
        with pytest.raises(NotFound):
            jobs.restore(session, DEFAULT_PROJECT, job.id)
    with write_session(engine) as session:
        assert jobs.delete(session, DEFAULT_PROJECT, job.id).deleted_at is not None
    with write_session(engine) as session:
        for refused in (jobs.get, jobs.delete, partial(jobs.apply_action, action="retry")):
            with pytest.raises(NotFound):
                refused(session, DEFAULT_PROJECT, job.id)
        filters = jobs.JobFilters(labels={"a": "b"})
        assert [row.id for row in jobs.list_jobs(session, DEFAULT_PROJECT, filters)[0]] == [kept.id]
        assert jobs.count(session, DEFAULT_PROJECT) == 1
        assert jobs.count_by_status(session) == {"cancelled": 1}
        assert (sweeps.jobs_of(session, sweep.id), sweeps.count_by_status(session, [sweep.id])) == (
            [],
            {sweep.id: {}},
        )
        with pytest.raises(NotFound):
            jobs.restore(session, "prj_other", job.id)
    with write_session(engine) as session:
        assert jobs.restore(session, DEFAULT_PROJECT, job.id).deleted_at is None
    with read_session(engine) as session:
        back = jobs.get(session, DEFAULT_PROJECT, job.id)
        assert [event.type for event in events.list_after(session, job.id)] == [
            "status",
            "status",
            "deleted",
            "restored",
        ]
        assert (
            back.version > job.version,
            transitions.history(session, job.id)[-1].data["to"],
        ) == (True, "cancelled")
        assert jobs.count(session, DEFAULT_PROJECT, filters) == 2


def test_a_deleted_model_or_data_set_frees_its_name_and_is_restored_while_that_is_free(
    engine: Engine,
) -> None:
    teacher, dataset = create_teacher(engine, name="mine"), a_dataset(engine)
    for library, row, another in (
        (models.library, teacher, lambda: create_teacher(engine, name="mine")),
        (datasets.library, dataset, lambda: a_dataset(engine)),
    ):
        with write_session(engine) as session:
            assert library.delete(session, DEFAULT_PROJECT, "mine").id == row.id
        with write_session(engine) as session:
            for reference in ("mine", row.id):
                with pytest.raises(NotFound):
                    library.get(session, DEFAULT_PROJECT, reference)
                with pytest.raises(NotFound):
                    library.delete(session, DEFAULT_PROJECT, reference)
            assert row.id not in {found.id for found in library.page(session, DEFAULT_PROJECT)[0]}
            for project, reference in (
                ("prj_other", row.id),
                (DEFAULT_PROJECT, "mine"),
                (DEFAULT_PROJECT, "a\0b"),
            ):
                with pytest.raises(NotFound):
                    library.restore(session, project, reference)
        second = another()
        with write_session(engine) as session, pytest.raises(Conflict) as caught:
            library.restore(session, DEFAULT_PROJECT, row.id)
        assert caught.value.code == "name_taken"
        with write_session(engine) as session:
            library.delete(session, DEFAULT_PROJECT, second.id)
            assert library.restore(session, DEFAULT_PROJECT, row.id).deleted_at is None
        with write_session(engine) as session:
            assert library.get(session, DEFAULT_PROJECT, "mine").id == row.id
            with pytest.raises(NotFound):
                library.restore(session, DEFAULT_PROJECT, row.id)


def test_what_a_job_that_has_not_ended_needs_is_not_deleted(engine: Engine) -> None:
    teacher, start, measured = (
        create_teacher(engine, name=name) for name in ("teacher", "start", "measured")
    )
    dataset, extra = a_dataset(engine), a_dataset(engine, "extra")
    data = {**training_body()["data"], "extra": {"dataset": extra.id}}
    body = {"kind": "evaluation", "model": measured.id, "data": {"dataset": "digits"}}
    with write_session(engine) as session:
        needing = [
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                distillation_spec(),
                dataset_id=dataset.id,
                teacher_id=teacher.id,
            ),
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                training_spec(start_from=start.id, data=data),
                dataset_id=DIGITS_ID,
            ),
            jobs.submit(
                session,
                DEFAULT_PROJECT,
                resolve(EvaluationJobSpec.model_validate(body), DIGITS),
                dataset_id=DIGITS_ID,
            ),
        ]
    inputs = [(models, row) for row in (teacher, start, measured)] + [
        (datasets, row) for row in (dataset, extra)
    ]
    for library, row in inputs:
        with write_session(engine) as session, pytest.raises(Conflict) as caught:
            library.delete(session, DEFAULT_PROJECT, row.id)
        assert (caught.value.code, any(job.id in caught.value.message for job in needing)) == (
            "in_use",
            True,
        )
    with write_session(engine) as session:
        for job in needing:
            jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
        for library, row in inputs:
            library.delete(session, DEFAULT_PROJECT, row.id)
    with read_session(engine) as session:
        assert jobs.get(session, DEFAULT_PROJECT, needing[0].id).teacher_id == teacher.id
        found = jobs.list_jobs(session, DEFAULT_PROJECT, jobs.JobFilters(dataset=dataset.id))[0]
        assert [job.id for job in found] == [needing[0].id]
        assert jobs.count(session, DEFAULT_PROJECT, jobs.JobFilters(dataset="mine")) == 0


def test_what_is_being_imported_and_what_everyone_uses_is_not_deleted(engine: Engine) -> None:
    with write_session(engine) as session:
        model = models.create(session, DEFAULT_PROJECT, "mine", model_description())
        for library, reference, code in (
            (models, model.id, "importing"),
            (datasets, "digits", "built_in"),
        ):
            with pytest.raises(Conflict) as caught:
                library.delete(session, DEFAULT_PROJECT, reference)
            assert caught.value.code == code
        awaiting = models.create(
            session, DEFAULT_PROJECT, "other", model_description(), status="awaiting_upload"
        )
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, awaiting.id)
        with pytest.raises(NotFound):
            uploaded_items.record_upload_progress(session, ModelRow, awaiting.id)
        with pytest.raises(Conflict):
            uploaded_items.begin_import(session, awaiting, "job_1", size=1, sha256=SHA256)


def test_a_deleted_jobs_student_is_found_by_its_own_name_only(engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        student = models.publish(
            session, job, model_description(), object_key="k", size=1, sha256=SHA256
        )
        attempts.succeed(session, job, {}, student.id)
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, attempt.job_id)
        assert models.find_usable(session, DEFAULT_PROJECT, student.name).id == student.id
        with pytest.raises(Invalid):
            models.find_usable(session, DEFAULT_PROJECT, attempt.job_id)


def test_a_job_submitted_while_its_teacher_is_deleted_is_refused_or_keeps_it(
    engine: Engine,
) -> None:
    """Whichever commits first: never a queued job whose teacher is gone."""
    for first in ("delete", "submit"):
        teacher = create_teacher(engine, name=first)
        inside, outcome = threading.Event(), {}

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

        def second(act: Callable[[Session], None], outcome: dict[str, Any] = outcome) -> None:
            try:
                with write_session(engine) as session:
                    act(session)
            except Conflict as error:
                outcome["code"] = error.code

        thread = threading.Thread(target=second, args=(submit if first == "delete" else delete,))
        with write_session(engine) as session:
            (delete if first == "delete" else submit)(session)
            thread.start()
            inside.wait(0.3)  # the other one is waiting by now, or comes later: both end alike
        thread.join()
        assert outcome == {"code": "input_deleted" if first == "delete" else "in_use"}
