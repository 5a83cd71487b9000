"""Models and data sets."""

import pytest
from sqlalchemy import Engine

from core.errors import Conflict, Invalid, NotFound
from core.store import attempts
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, DatasetRow, ModelRow, ProjectRow
from core.store.registry import datasets, models, uploaded_items
from tests.builders import (
    SHA256,
    create_attempt,
    create_job,
    create_teacher,
    dataset_description,
    model_description,
    refuse_upload,
)


@pytest.fixture
def other(engine: Engine) -> str:
    """Id of another project."""
    with write_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
    return "prj_other"


# -- models


def test_a_model_is_found_in_its_project_only(engine: Engine, other: str) -> None:
    """By its id and by its name."""
    own = create_teacher(engine)
    foreign = create_teacher(engine, project_id=other)
    with read_session(engine) as session:
        for reference in (own.id, "teacher"):
            model = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, reference)
            assert (model.id, model.status, models.describe(model)) == (
                own.id,
                "ready",
                model_description(),
            )
        for reference in (foreign.id, "nobody", "", "a\0b", "x" * 5000):
            with pytest.raises(NotFound):
                uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, reference)


def test_an_id_takes_precedence_over_an_equal_name(engine: Engine) -> None:
    first = create_teacher(engine)
    create_teacher(engine, name=first.id)
    with read_session(engine) as session:
        assert uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, first.id).name == "teacher"


def test_a_name_is_unique_in_a_project(engine: Engine, other: str) -> None:
    create_teacher(engine)
    create_teacher(engine, project_id=other)
    with pytest.raises(Conflict) as caught:
        create_teacher(engine)
    assert caught.value.code == "name_taken"


def test_a_refused_row_is_replaced_by_one_of_its_name(engine: Engine) -> None:
    model = create_awaiting_model(engine, "mine")
    dataset = create_awaiting_dataset(engine, "mine")
    refuse_upload(engine, model)
    refuse_upload(engine, dataset, "corrupt_archive")
    with write_session(engine) as session:
        assert models.create(session, DEFAULT_PROJECT, "mine", model_description()).id != model.id
        assert datasets.create(session, DEFAULT_PROJECT, "mine", "upload").id != dataset.id


def test_a_student_is_published_once_and_can_teach(engine: Engine) -> None:
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


def test_an_unusable_teacher_is_an_error_of_its_field(engine: Engine) -> None:
    with write_session(engine) as session:
        importing = models.create(session, DEFAULT_PROJECT, "importing", model_description())
    refuse_upload(engine, create_awaiting_model(engine, "refused"))
    with read_session(engine) as session:
        for reference in (importing.id, "refused", "job_none", "nobody", "\0"):
            with pytest.raises(Invalid) as caught:
                models.find_usable(session, DEFAULT_PROJECT, reference)
            assert caught.value.errors[0].path == ("teacher",)


def test_models_are_listed_newest_first(engine: Engine) -> None:
    model_ids = [create_teacher(engine, name=f"teacher-{number}").id for number in range(3)]
    with read_session(engine) as session:
        first, after = uploaded_items.list_items(session, ModelRow, DEFAULT_PROJECT, limit=2)
        rest, end = uploaded_items.list_items(
            session, ModelRow, DEFAULT_PROJECT, after=after, limit=2
        )
    assert [model.id for model in first + rest] == model_ids[::-1]
    assert end is None


def create_awaiting_model(engine: Engine, name: str) -> ModelRow:
    with write_session(engine) as session:
        return models.create(
            session, DEFAULT_PROJECT, name, model_description(), status="awaiting_upload"
        )


def create_awaiting_dataset(engine: Engine, name: str) -> DatasetRow:
    with write_session(engine) as session:
        return datasets.create(session, DEFAULT_PROJECT, name, "upload", status="awaiting_upload")


def test_an_import_begins_once(engine: Engine) -> None:
    model = create_awaiting_model(engine, "mine")
    dataset = create_awaiting_dataset(engine, "mine")
    with write_session(engine) as session:
        importing = uploaded_items.begin_import(session, model, "job_1", size=1, sha256=SHA256)
        assert importing.status == "importing"
        opened = uploaded_items.begin_import(session, dataset, "job_2", size=1, sha256=SHA256)
        assert opened.import_job_id == "job_2"
    with write_session(engine) as session:
        with pytest.raises(Conflict):
            uploaded_items.begin_import(session, model, "job_3", size=1, sha256=SHA256)
        with pytest.raises(Conflict):
            uploaded_items.begin_import(session, dataset, "job_3", size=1, sha256=SHA256)


# -- data sets


def test_a_shared_data_set_is_listed_beside_the_own(engine: Engine, other: str) -> None:
    with transaction(engine, FencedSession) as session:
        own = datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        datasets.create(session, other, "foreign", "folder")
        with pytest.raises(Conflict):
            datasets.describe(own)
        uploaded_items.mark_ready(
            session, own, dataset_description(), object_key="k", size=1, sha256=SHA256
        )
    with read_session(engine) as reader:
        listed = uploaded_items.list_items(reader, DatasetRow, DEFAULT_PROJECT)[0]
        assert {row.id for row in listed} == {own.id, DIGITS_ID}
        ready = uploaded_items.get(reader, DatasetRow, DEFAULT_PROJECT, "mine")
        assert datasets.describe(ready) == dataset_description()
        for reference in ("foreign", "", "a\0b"):
            with pytest.raises(NotFound):
                uploaded_items.get(reader, DatasetRow, DEFAULT_PROJECT, reference)


def test_the_import_of_a_data_set_leaves_its_report(engine: Engine) -> None:
    report = {"layout": "One folder a class.", "ignored_files": 2}
    with transaction(engine, FencedSession) as session:
        row = datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        assert row.report is None
        datasets.mark_ready(
            session,
            row,
            dataset_description(),
            report=report,
            object_key="k",
            size=1,
            sha256=SHA256,
        )
    with read_session(engine) as reader:
        ready = uploaded_items.get(reader, DatasetRow, DEFAULT_PROJECT, "mine")
        assert (ready.status, ready.report, ready.size) == ("ready", report, 1)


def test_a_data_set_has_no_name_of_its_project_or_a_shared_one(engine: Engine) -> None:
    with write_session(engine) as session:
        datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        for name in ("mine", "digits"):
            with pytest.raises(Conflict):
                datasets.create(session, DEFAULT_PROJECT, name, "upload")
