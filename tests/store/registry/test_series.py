"""Versions of a series, and aliases for them."""

import threading

import pytest
from sqlalchemy import Engine

from core.errors import Conflict, Invalid, NotFound
from core.store import attempts, project_events
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, ModelRow, ProjectRow
from core.store.registry import aliases, models, series, uploaded_items
from tests.builders import (
    SHA256,
    create_attempt,
    create_job,
    create_teacher,
    model_description,
    refuse_upload,
)


def publish_student(engine: Engine, name: str) -> ModelRow:
    """Let a job of this name succeed; return its student."""
    attempt = create_attempt(engine, create_job(engine, name=name))
    with attempt.fenced_session() as (session, job):
        student = models.publish(
            session, job, model_description(), object_key="key", size=1, sha256=SHA256
        )
        attempts.succeed(session, job, model_id=student.id)
    return student


def find(engine: Engine, reference: str) -> str | None:
    """Return the id of the model that is referred to."""
    with read_session(engine) as session:
        model = uploaded_items.find(session, ModelRow, DEFAULT_PROJECT, reference)
    return None if model is None else model.id


def set_alias(engine: Engine, name: str, alias: str, reference: str) -> None:
    with write_session(engine) as session:
        aliases.set_alias(session, DEFAULT_PROJECT, name, alias, reference)


def test_students_of_one_job_name_are_versions(engine: Engine) -> None:
    students = [publish_student(engine, "digits starship") for _ in range(3)]
    assert [(model.series, model.series_version) for model in students] == [
        ("digits-starship", version) for version in (1, 2, 3)
    ]
    assert len({model.name for model in students}) == 3
    for version, student in enumerate(students, 1):
        assert find(engine, f"digits-starship@{version}") == student.id
    for reference in ("digits-starship@4", "digits-starship@0", "digits-starship@01", "@1"):
        assert find(engine, reference) is None


def test_an_upload_gets_its_version_when_it_is_ready(engine: Engine) -> None:
    """One that is refused uses up no version."""
    with write_session(engine) as session:
        refused = models.create(
            session, DEFAULT_PROJECT, "teacher", model_description(), status="awaiting_upload"
        )
        assert (refused.series, refused.series_version) == ("teacher", None)
    refuse_upload(engine, refused)
    ready = create_teacher(engine)
    assert ready.series_version == 1
    assert find(engine, "teacher@1") == ready.id


def test_a_series_takes_uploads_without_a_name(engine: Engine) -> None:
    first = create_teacher(engine)
    with transaction(engine, FencedSession) as session:
        second = models.create(
            session, DEFAULT_PROJECT, None, model_description(), series="teacher"
        )
        models.mark_ready(
            session, second, model_description(), object_key="k", size=1, sha256=SHA256
        )
    assert second.name.startswith("teacher-")
    assert (second.series, second.series_version) == ("teacher", 2)
    assert find(engine, "teacher") == first.id
    assert find(engine, "teacher@2") == second.id


def test_a_version_is_never_given_again(engine: Engine) -> None:
    first = create_teacher(engine)
    with write_session(engine) as session:
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, first.id)
    assert find(engine, "teacher@1") is None
    second = create_teacher(engine)
    assert second.series_version == 2
    with write_session(engine) as session:
        uploaded_items.edit(session, session.merge(second), {"name": "renamed"})
        uploaded_items.restore(session, ModelRow, DEFAULT_PROJECT, first.id)
    assert find(engine, "teacher@1") == first.id
    assert find(engine, "teacher@2") == second.id


def test_students_published_at_once_get_different_versions(engine: Engine) -> None:
    jobs = [create_attempt(engine, create_job(engine, name="same")) for _ in range(4)]
    versions: list[int | None] = []

    def publish(attempt: attempts.Attempt) -> None:
        with attempt.fenced_session() as (session, job):
            student = models.publish(
                session, job, model_description(), object_key="key", size=1, sha256=SHA256
            )
            versions.append(student.series_version)

    threads = [threading.Thread(target=publish, args=[attempt]) for attempt in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(filter(None, versions)) == [1, 2, 3, 4]


def test_an_alias_is_set_moved_and_removed(engine: Engine) -> None:
    first = publish_student(engine, "s")
    second = publish_student(engine, "s")
    set_alias(engine, "s", "champion", first.id)
    set_alias(engine, "s", "candidate", "s@2")
    assert (find(engine, "s@champion"), find(engine, "s@candidate")) == (first.id, second.id)
    set_alias(engine, "s", "champion", "s@candidate")
    assert find(engine, "s@champion") == second.id
    with write_session(engine) as session:
        assert series.aliases_by_model(session, [first.id, second.id]) == {
            second.id: ["candidate", "champion"]
        }
        assert aliases.remove_alias(session, DEFAULT_PROJECT, "s", "champion").id == second.id
        with pytest.raises(NotFound, match="no alias 'champion'"):
            aliases.remove_alias(session, DEFAULT_PROJECT, "s", "champion")
    assert find(engine, "s@champion") is None


def test_a_move_changes_both_models_and_is_an_event(engine: Engine) -> None:
    first = publish_student(engine, "s")
    second = publish_student(engine, "s")
    set_alias(engine, "s", "champion", first.id)
    with read_session(engine) as session:
        before = {row.id: row.version for row in session.query(ModelRow)}
    set_alias(engine, "s", "champion", second.id)
    set_alias(engine, "s", "champion", second.id)  # changes nothing
    project_events.assign_numbers(engine, wait=True)
    with read_session(engine) as session:
        after = {row.id: row.version for row in session.query(ModelRow)}
        changed = [
            event.item_id
            for event in project_events.list_after(session, [DEFAULT_PROJECT], 0, limit=100)
            if (event.item_type, event.change) == ("model", "changed")
        ]
    assert after == {model_id: version + 1 for model_id, version in before.items()}
    assert set(changed) == {first.id, second.id}


def test_an_alias_stays_within_its_series_and_project(engine: Engine) -> None:
    with write_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
    student = publish_student(engine, "s")
    other = create_teacher(engine)
    foreign = create_teacher(engine, project_id="prj_other")
    with write_session(engine) as session:
        awaiting = models.create(session, DEFAULT_PROJECT, "new", model_description(), series="s")
    for reference, message in (
        (other.id, "is of the series 'teacher'"),
        (foreign.id, "There is no model"),
        ("s@nobody", "There is no model"),
        (awaiting.id, "it is importing"),
    ):
        with pytest.raises(Invalid, match=message):
            set_alias(engine, "s", "champion", reference)
    set_alias(engine, "s", "champion", student.id)
    with read_session(engine) as session:
        assert uploaded_items.find(session, ModelRow, "prj_other", "s@champion") is None
        assert uploaded_items.find(session, ModelRow, "prj_other", "s@1") is None


def test_a_model_with_an_alias_is_not_deleted(engine: Engine) -> None:
    student = publish_student(engine, "s")
    set_alias(engine, "s", "champion", student.id)
    with write_session(engine) as session, pytest.raises(Conflict, match="champion") as caught:
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, student.id)
    assert caught.value.code == "has_alias"
    with write_session(engine) as session:
        aliases.remove_alias(session, DEFAULT_PROJECT, "s", "champion")
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, student.id)


def test_an_unknown_reference_is_explained(engine: Engine) -> None:
    publish_student(engine, "s")
    set_alias(engine, "s", "champion", "s@1")
    for reference in ("s", "s@7", "s@candidate"):
        with (
            read_session(engine) as session,
            pytest.raises(NotFound, match="up to 1: write s@1, s@champion"),
        ):
            uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, reference)
