"""Changes of name, notes and metadata."""

from typing import Any

import pytest
from sqlalchemy import Engine, select

from core.errors import Conflict, Invalid
from core.store import events, jobs
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DatasetRow, JobLabelRow, JobRow, ModelRow
from core.store.jobs import JobFilters
from core.store.registry import models, uploaded_items
from tests.builders import create_job, create_teacher, model_description, refuse_upload


def edit_job(engine: Engine, job_id: str, **patch: Any) -> JobRow:
    with write_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, job_id, lock=True)
        jobs.edit(session, job, patch)
        return job


def find_by_label(engine: Engine, key: str, value: str) -> list[str]:
    with read_session(engine) as session:
        filters = JobFilters(labels={key: value})
        return [row.id for row in jobs.list_jobs(session, DEFAULT_PROJECT, filters)[0]]


def test_an_edit_is_a_merge_patch(engine: Engine) -> None:
    job_id = create_job(engine, name="one", metadata={"team": "a", "run": "1"}).id
    edited = edit_job(engine, job_id, notes="# Why\n", metadata={"team": "b", "run": None, "x": ""})
    assert (edited.name, edited.notes) == ("one", "# Why\n")
    assert edited.labels == {"team": "b", "x": ""}
    assert edited.spec["metadata"] == {"team": "a", "run": "1"}, "as it was submitted"
    assert edit_job(engine, job_id, name=None, notes=None).name is None
    assert edit_job(engine, job_id, metadata=None).labels == {}


def test_the_index_of_labels_follows_an_edit(engine: Engine) -> None:
    job_id = create_job(engine, metadata={"team": "a", "run": "1"}).id
    edit_job(engine, job_id, metadata={"team": "b"})
    assert find_by_label(engine, "team", "a") == []
    assert find_by_label(engine, "team", "b") == find_by_label(engine, "run", "1") == [job_id]
    edit_job(engine, job_id, metadata=None)
    with read_session(engine) as session:
        assert session.scalars(select(JobLabelRow)).all() == []


def test_an_edit_counts_once_and_is_an_event(engine: Engine) -> None:
    job = create_job(engine, name="one")
    edited = edit_job(engine, job.id, name="two", notes="n")
    again = edit_job(engine, job.id, name="two", notes="n", metadata={})
    assert (edited.edits, again.edits) == (1, 1)
    assert again.version == edited.version == job.version + 1
    with read_session(engine) as session:
        (event,) = events.list_of_type(session, job.id, "edited")
    assert event.data == {"fields": ["name", "notes"]}


def test_metadata_stays_within_its_bound(engine: Engine) -> None:
    job_id = create_job(engine, metadata={f"a{n}": "" for n in range(32)}).id
    with pytest.raises(Invalid, match="at most 32 entries; .* would have 33"):
        edit_job(engine, job_id, metadata={"one": "more"})
    replaced = edit_job(engine, job_id, metadata={"a0": None, "one": "more"})
    assert len(replaced.labels) == 32


def test_renaming_a_model_keeps_names_unique(engine: Engine) -> None:
    model = create_teacher(engine, name="a")
    create_teacher(engine, name="b")
    with write_session(engine) as session:
        refused = models.create(
            session, DEFAULT_PROJECT, "c", model_description(), status="awaiting_upload"
        )
    refuse_upload(engine, refused)
    with write_session(engine) as session:
        row = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, model.id, lock=True)
        with pytest.raises(Conflict, match="named 'b'") as caught:
            uploaded_items.edit(session, row, {"name": "b"})
        assert caught.value.code == "name_taken"
    with write_session(engine) as session:
        row = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, model.id, lock=True)
        assert uploaded_items.edit(session, row, {"name": "c", "metadata": {"k": "v"}})
        assert not uploaded_items.edit(session, row, {"name": "c"})
        assert (row.name, row.series, row.labels, row.edits) == ("c", "a", {"k": "v"}, 1)


def test_a_shared_data_set_is_not_edited(engine: Engine) -> None:
    with write_session(engine) as session:
        row = uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, "digits", lock=True)
        with pytest.raises(Conflict) as caught:
            uploaded_items.edit(session, row, {"notes": "mine"})
    assert caught.value.code == "built_in"
