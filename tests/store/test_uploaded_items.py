"""Models, data sets and artifacts."""

import pytest
from sqlalchemy import Engine

from core.errors import Conflict, Invalid, NotFound
from core.store import artifacts, attempts, datasets, models, uploaded_items
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, DatasetRow, ModelRow, ProjectRow
from tests.builders import (
    SHA256,
    create_job,
    create_teacher,
    create_attempt,
    dataset_description,
    model_description,
)


@pytest.fixture
def other(engine: Engine) -> str:
    with write_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
    return "prj_other"


# -- models


def test_a_model_is_found_by_id_and_by_name_in_its_project_only(engine: Engine, other: str) -> None:
    mine, theirs = create_teacher(engine), create_teacher(engine, project_id=other)
    with read_session(engine) as session:
        for reference in (mine.id, "teacher"):
            found = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, reference)
            assert (found.id, found.status, models.describe(found)) == (
                mine.id,
                "ready",
                model_description(),
            )
        for reference in (theirs.id, "nobody", "", "a\0b", "x" * 5000):
            with pytest.raises(NotFound):
                uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, reference)


def test_an_id_goes_before_a_name_that_looks_like_it(engine: Engine) -> None:
    first = create_teacher(engine)
    create_teacher(engine, name=first.id)
    with read_session(engine) as session:
        assert uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, first.id).name == "teacher"


def test_a_name_is_taken_once_in_a_project(engine: Engine, other: str) -> None:
    create_teacher(engine)
    create_teacher(engine, project_id=other)
    with pytest.raises(Conflict) as caught:
        create_teacher(engine)
    assert caught.value.code == "name_taken"


def test_a_refused_model_or_data_set_makes_way_for_another_of_its_name(engine: Engine) -> None:
    with write_session(engine) as session:
        model = models.create(session, DEFAULT_PROJECT, "mine", model_description())
        models.mark_refused(session, model, {"code": "unsafe_checkpoint", "detail": "."})
        dataset = datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        datasets.mark_refused(session, dataset, {"code": "corrupt_archive", "detail": "."})
    with write_session(engine) as session:
        assert models.create(session, DEFAULT_PROJECT, "mine", model_description()).id != model.id
        assert datasets.create(session, DEFAULT_PROJECT, "mine", "upload").id != dataset.id


def test_a_student_is_published_once_and_can_teach_by_its_jobs_id(engine: Engine) -> None:
    attempt = create_attempt(engine, create_job(engine, name="über night/run"))
    with read_session(engine) as session, pytest.raises(Invalid, match="running"):
        models.find_usable(session, DEFAULT_PROJECT, attempt.job_id)
    with attempt.fenced_session() as (session, job):
        student = models.publish(
            session, job, model_description(), object_key="k", size=1, sha256=SHA256, parameters=7
        )
        with pytest.raises(Conflict):
            models.publish(session, job, model_description(), object_key="k", size=1, sha256=SHA256)
        attempts.succeed(session, job, {}, student.id)
    assert student.name == f"ber-night-run-{attempt.job_id[-10:]}"
    with read_session(engine) as session:
        for reference in (attempt.job_id, student.id, student.name):
            assert models.find_usable(session, DEFAULT_PROJECT, reference).id == student.id
        assert (
            uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, student.id).source_job_id
            == attempt.job_id
        )


def test_what_cannot_teach_is_said_of_the_field(engine: Engine) -> None:
    with write_session(engine) as session:
        importing = models.create(session, DEFAULT_PROJECT, "importing", model_description())
        refused = models.create(session, DEFAULT_PROJECT, "refused", model_description())
        models.mark_refused(
            session, refused, {"code": "unsafe_checkpoint", "detail": "It is a pickle."}
        )
    with read_session(engine) as session:
        for reference in (importing.id, "refused", "job_none", "nobody", "\0"):
            with pytest.raises(Invalid) as caught:
                models.find_usable(session, DEFAULT_PROJECT, reference)
            assert caught.value.errors[0].path == ("teacher",)


def test_models_are_listed_newest_first(engine: Engine) -> None:
    made = [create_teacher(engine, name=f"teacher-{number}").id for number in range(3)]
    with read_session(engine) as session:
        first, after = uploaded_items.list_items(session, ModelRow, DEFAULT_PROJECT, limit=2)
        rest, end = uploaded_items.list_items(
            session, ModelRow, DEFAULT_PROJECT, after=after, limit=2
        )
    assert [model.id for model in first + rest] == made[::-1]
    assert end is None


def test_an_upload_is_begun_once(engine: Engine) -> None:
    with write_session(engine) as session:
        model = models.create(
            session, DEFAULT_PROJECT, "mine", model_description(), status="awaiting_upload"
        )
        dataset = datasets.create(
            session, DEFAULT_PROJECT, "mine", "upload", status="awaiting_upload"
        )
    for attempt in (1, 2):
        with write_session(engine) as session:
            if attempt == 1:
                assert (
                    uploaded_items.begin_import(
                        session, model, "job_1", size=1, sha256=SHA256
                    ).status
                    == "importing"
                )
                assert (
                    uploaded_items.begin_import(
                        session, dataset, "job_2", size=1, sha256=SHA256
                    ).import_job_id
                    == "job_2"
                )
                continue
            with pytest.raises(Conflict):
                uploaded_items.begin_import(session, model, "job_3", size=1, sha256=SHA256)
            with pytest.raises(Conflict):
                uploaded_items.begin_import(session, dataset, "job_3", size=1, sha256=SHA256)


# -- data sets


def test_a_data_set_of_everyone_is_seen_beside_ones_own(engine: Engine, other: str) -> None:
    with write_session(engine) as session:
        mine = datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        datasets.create(session, other, "theirs", "folder")
        with pytest.raises(Conflict):
            datasets.describe(mine)
        uploaded_items.mark_ready(
            session, mine, dataset_description(), object_key="k", size=1, sha256=SHA256
        )
    with read_session(engine) as session:
        assert {
            found.id for found in uploaded_items.list_items(session, DatasetRow, DEFAULT_PROJECT)[0]
        } == {
            mine.id,
            DIGITS_ID,
        }
        assert (
            datasets.describe(uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, "mine"))
            == dataset_description()
        )
        for reference in ("theirs", "", "a\0b"):
            with pytest.raises(NotFound):
                uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, reference)


def test_a_data_sets_name_is_taken_once_and_digits_by_everyone(engine: Engine) -> None:
    with write_session(engine) as session:
        datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        for name in ("mine", "digits"):
            with pytest.raises(Conflict):
                datasets.create(session, DEFAULT_PROJECT, name, "upload")


# -- artifacts


def put(engine: Engine, job_id: str, name: str, step: int, key: str) -> str | None:
    with write_session(engine) as session:
        found = artifacts.record(
            session,
            job_id,
            name=name,
            kind="checkpoint",
            object_key=key,
            size=1,
            sha256=SHA256,
            attempt=1,
            step=step,
        )
    return found[1]


def test_a_file_of_the_same_name_replaces_the_earlier_one(engine: Engine) -> None:
    job = create_job(engine)
    assert put(engine, job.id, "last", 1, "key-1") is None
    assert put(engine, job.id, "last", 2, "key-2") == "key-1"
    assert put(engine, job.id, "last", 2, "key-2") is None
    with read_session(engine) as session:
        assert artifacts.get(session, job.id, "last").step == 2
        assert len(artifacts.list_artifacts(session, job.id)) == 1
        assert artifacts.list_artifacts(session, job.id, kind="report") == []
        for name in ("none", "a\0b", "../last"):
            with pytest.raises(NotFound):
                artifacts.get(session, job.id, name)


def test_pruning_keeps_the_furthest_checkpoints_and_names_what_to_delete(engine: Engine) -> None:
    job = create_job(engine)
    for step in (10, 200, 30, 4):
        put(engine, job.id, f"step-{step}", step, f"key-{step}")
    with write_session(engine) as session:
        artifacts.record(
            session,
            job.id,
            name="report",
            kind="report",
            object_key="r",
            size=1,
            sha256=SHA256,
            attempt=1,
        )
        assert sorted(artifacts.prune_checkpoints(session, job.id, keep=2)) == ["key-10", "key-4"]
        assert artifacts.prune_checkpoints(session, job.id, keep=2) == []
        with pytest.raises(ValueError, match="At least one"):
            artifacts.prune_checkpoints(session, job.id, keep=0)
    with read_session(engine) as session:
        assert [checkpoint.step for checkpoint in artifacts.list_checkpoints(session, job.id)] == [
            200,
            30,
        ]
        assert [artifact.name for artifact in artifacts.list_artifacts(session, job.id)] == [
            "report",
            "step-200",
            "step-30",
        ]
