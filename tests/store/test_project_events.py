"""The log of what changes in projects: one order, without gaps, whatever the order of commits."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from core.jobspec.status import PROTOCOL
from core.jobspec.sweep import SweepSpec
from core.settings import Settings
from core.store import attempts, events, jobs, project_events, sweeps, workers
from core.store.database.clock import database_now
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import (
    DEFAULT_PROJECT,
    DatasetRow,
    ModelRow,
    ProjectEventRow,
    ProjectRow,
    WorkerRow,
)
from core.store.objects.collector import Collector, Removed
from core.store.objects.store import Objects
from core.store.registry import datasets, uploaded_items
from tests.builders import (
    create_attempt,
    create_job,
    create_teacher,
    refuse_upload,
    start_phase,
    training_body,
    training_spec,
)

HOUR_MS = 3_600_000
WRITERS = 8
PER_WRITER = 25


def list_all(engine: Engine, after: int = 0, project_id: str = DEFAULT_PROJECT) -> list[Any]:
    project_events.assign_numbers(engine, wait=True)
    with read_session(engine) as session:
        return project_events.list_after(session, [project_id], after, limit=10_000)


def changes(engine: Engine, item_id: str) -> list[str]:
    return [row.change for row in list_all(engine) if row.item_id == item_id]


def record(session: Session, item_id: str, change: project_events.Change = "status") -> None:
    project_events.record(
        session, DEFAULT_PROJECT, "job", item_id, change, {"status": "running", "name": None}
    )


def record_committed(engine: Engine, item_id: str) -> None:
    with write_session(engine) as session:
        record(session, item_id)


def state(engine: Engine) -> project_events.LogState:
    with read_session(engine) as session:
        return project_events.state(session)


def test_changes_of_a_job_are_recorded(engine: Engine) -> None:
    """Each in the transaction of the change, with what a list shows of the job."""
    attempt = create_attempt(engine)
    start_phase(attempt, "training")
    with attempt.fenced_session() as (session, job):
        job.progress = {"step": 3, "of": 9}
        project_events.record_job(session, job, "progress")
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job)
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, attempt.job_id)
    with write_session(engine) as session:
        jobs.restore(session, DEFAULT_PROJECT, attempt.job_id)
    rows = [row for row in list_all(engine) if row.item_id == attempt.job_id]
    assert [row.change for row in rows] == [
        "created",
        "status",
        "phase",
        "progress",
        "status",
        "deleted",
        "restored",
    ]
    assert [row.data["status"] for row in rows][:2] == ["queued", "running"]
    assert rows[3].data["progress"] == {"step": 3, "of": 9}
    assert rows[4].data["status"] == "succeeded"
    versions = [row.data["version"] for row in rows]
    assert versions == sorted(set(versions))


def test_a_rolled_back_change_is_not_recorded(engine: Engine) -> None:
    def fail() -> None:
        with write_session(engine) as session:
            record(session, "job_1")
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list_all(engine) == []


def test_changes_of_uploads_are_recorded(engine: Engine) -> None:
    model = create_teacher(engine)
    with write_session(engine) as session:
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, model.id)
    with write_session(engine) as session:
        uploaded_items.restore(session, ModelRow, DEFAULT_PROJECT, model.id)
    assert changes(engine, model.id) == ["created", "status", "deleted", "restored"]


def test_a_refused_import_is_recorded(engine: Engine) -> None:
    with write_session(engine) as session:
        dataset = datasets.create(
            session, DEFAULT_PROJECT, "images", "upload", status="awaiting_upload"
        )
    refuse_upload(engine, dataset)
    rows = [row for row in list_all(engine) if row.item_id == dataset.id]
    assert [row.data["status"] for row in rows] == ["awaiting_upload", "importing", "refused"]
    assert {row.item_type for row in rows} == {"dataset"}


def test_a_sweep_changes_with_its_jobs(engine: Engine) -> None:
    spec = SweepSpec.model_validate(
        {"name": "seeds", "base": training_body(), "axes": {"seed": [0]}}
    )
    with write_session(engine) as session:
        sweep = sweeps.create(session, DEFAULT_PROJECT, spec)
        position = jobs.SweepPosition(sweep.id, 0, "line")
        job = jobs.submit(session, DEFAULT_PROJECT, training_spec(), position=position)
    create_attempt(engine, job)
    assert changes(engine, sweep.id) == ["created", "status"]
    rows = [row for row in list_all(engine) if row.item_id == job.id]
    assert {row.data["sweep_id"] for row in rows} == {sweep.id}


def test_changes_of_workers_are_for_all_projects(engine: Engine) -> None:
    def heartbeat(trouble: str | None = None) -> None:
        with write_session(engine) as session:
            workers.record_heartbeat(
                session, "w", lease_seconds=30, shutting_down=False, schema_error=trouble
            )

    with write_session(engine) as session:
        workers.register(session, "w", version="1", protocol=PROTOCOL, slots=1, lease_seconds=30)
    heartbeat()
    heartbeat()
    heartbeat("another schema")
    heartbeat()
    with write_session(engine) as session:
        workers.set_draining(session, "w")
    with write_session(engine) as session:
        workers.remove(session, "w")
    rows = list_all(engine, project_id="prj_other")
    assert [(row.change, row.data["status"]) for row in rows] == [
        ("created", "ready"),
        ("changed", "ready"),
        ("status", "trouble"),
        ("status", "ready"),
        ("status", "draining"),
        ("deleted", "draining"),
    ]


def test_a_lost_worker_is_noticed_once(engine: Engine) -> None:
    """However many reconcilers look for it; its next heartbeat says that it is back."""
    with write_session(engine) as session:
        workers.register(session, "w", version="1", protocol=PROTOCOL, slots=1, lease_seconds=-1)
    for expected in (["w"], []):
        with write_session(engine) as session:
            assert workers.mark_lost(session) == expected
    with write_session(engine) as session:
        workers.record_heartbeat(
            session, "w", lease_seconds=30, shutting_down=False, schema_error=None
        )
        assert workers.mark_lost(session) == []
    statuses = [row.data["status"] for row in list_all(engine)]
    assert statuses == ["ready", "lost", "ready"]


def test_only_the_newest_progress_is_kept(engine: Engine) -> None:
    with write_session(engine) as session:
        record(session, "job_1", "progress")
        record(session, "job_2", "progress")
    first = list_all(engine)
    with write_session(engine) as session:
        record(session, "job_1", "progress")
    rows = list_all(engine)
    assert [row.item_id for row in rows] == ["job_2", "job_1"]
    assert [row.seq for row in list_all(engine, first[-1].seq)] == [rows[-1].seq]
    assert rows[-1].seq > first[-1].seq


def test_heartbeats_are_recorded_every_ten_seconds(engine: Engine) -> None:
    with write_session(engine) as session:
        workers.register(session, "w", version="1", protocol=PROTOCOL, slots=1, lease_seconds=30)
        worker = session.get(WorkerRow, "w")
        assert worker is not None
        project_events.record_worker(session, worker, "changed")
    last_seq = list_all(engine)[-1].seq
    for expected in (0, 1):
        with write_session(engine) as session:
            project_events.record_worker(session, worker, "changed")
        assert len(list_all(engine, last_seq)) == expected
        with write_session(engine) as session:
            session.execute(update(ProjectEventRow).values(at=database_now() - 10_000))


def test_projects_see_only_their_own_changes(engine: Engine) -> None:
    with write_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
    job = create_job(engine)
    other = create_job(engine, "prj_other")
    assert [row.item_id for row in list_all(engine)] == [job.id]
    assert [row.item_id for row in list_all(engine, project_id="prj_other")] == [other.id]


def test_types_select_what_is_listed(engine: Engine) -> None:
    create_job(engine)
    model = create_teacher(engine)
    project_events.assign_numbers(engine, wait=True)
    with read_session(engine) as session:
        rows = project_events.list_after(
            session, [DEFAULT_PROJECT], 0, types={"model", "worker"}, limit=10
        )
    assert {row.item_id for row in rows} == {model.id}


def test_late_commits_get_later_numbers(postgres_url: str) -> None:
    """A reader that has seen the later row first still gets the earlier one afterwards."""
    engine = make_engine(postgres_url)
    with write_session(engine) as slow:
        record(slow, "slow")
        slow.flush()
        record_committed(engine, "quick")
        earlier = list_all(engine)
        assert [row.item_id for row in earlier] == ["quick"]
    later = list_all(engine, earlier[-1].seq)
    assert [row.item_id for row in later] == ["slow"]
    engine.dispose()


def test_a_transaction_elsewhere_delays_nothing(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with write_session(engine) as long_running:
        long_running.add(ProjectRow(id="prj_long", name="long"))
        long_running.flush()
        record_committed(engine, "quick")
        assert [row.item_id for row in list_all(engine)] == ["quick"]
    engine.dispose()


def test_numbering_leaves_locked_rows_for_later(postgres_url: str) -> None:
    """A frozen writer that is replacing its progress blocks nobody."""
    engine = make_engine(postgres_url, timeout_seconds=2)
    with write_session(engine) as session:
        record(session, "job_1", "progress")
    with write_session(engine) as frozen:
        record(frozen, "job_1", "progress")
        frozen.flush()
        record_committed(engine, "job_2")
        assert [row.item_id for row in list_all(engine)] == ["job_2"]
    assert [row.item_id for row in list_all(engine)] == ["job_2", "job_1"]
    engine.dispose()


def write_many(engine: Engine, writer: int) -> None:
    for number in range(PER_WRITER):
        with write_session(engine) as session:
            record(session, f"{writer}-{number}")
            session.flush()
            if number % 3 == writer % 3:  # others commit in between
                session.scalar(select(func.count()).select_from(ProjectEventRow))


def read_until(engine: Engine, end: threading.Event) -> list[str]:
    """Number and read at any moment, until everything is read; return the ids in their order."""
    item_ids: list[str] = []
    seq = 0
    while True:
        is_last = end.is_set()
        project_events.assign_numbers(engine, wait=is_last)
        with read_session(engine) as session:
            rows = project_events.list_after(session, [DEFAULT_PROJECT], seq, limit=7)
        item_ids += [row.item_id for row in rows]
        seq = (rows[-1].seq or 0) if rows else seq
        if is_last and not rows:
            return item_ids


def test_readers_miss_nothing_while_many_write(engine: Engine) -> None:
    """Eight writers, two readers: each row once, and those of each writer in order."""
    end = threading.Event()
    with ThreadPoolExecutor(WRITERS + 2) as pool:
        readers = [pool.submit(read_until, engine, end) for _ in range(2)]
        writers = [pool.submit(write_many, engine, writer) for writer in range(WRITERS)]
        for writing in writers:
            writing.result()
        end.set()
        received = [reading.result() for reading in readers]
    by_writer = [
        [f"{writer}-{number}" for number in range(PER_WRITER)] for writer in range(WRITERS)
    ]
    for item_ids in received:
        assert len(item_ids) == WRITERS * PER_WRITER
        for expected in by_writer:
            assert [name for name in item_ids if name in set(expected)] == expected


def test_pruning_remembers_how_far_it_went(engine: Engine) -> None:
    record_committed(engine, "old")
    old = list_all(engine)
    with write_session(engine) as session:
        session.execute(update(ProjectEventRow).values(at=database_now() - 2 * HOUR_MS))
        now = session.scalars(select(database_now())).one()
    record_committed(engine, "new")
    assert state(engine).pruned_seq == 0
    assert project_events.prune(engine, now - HOUR_MS) == 1
    assert [row.item_id for row in list_all(engine)] == ["new"]
    assert state(engine).pruned_seq == old[-1].seq
    assert project_events.prune(engine, now - HOUR_MS) == 0


def test_numbers_never_begin_anew(engine: Engine) -> None:
    record_committed(engine, "first")
    first = list_all(engine)
    with read_session(engine) as session:
        now = session.scalars(select(database_now())).one()
    assert project_events.prune(engine, now + HOUR_MS) == 1
    record_committed(engine, "second")
    assert list_all(engine)[0].seq > first[-1].seq


def test_other_events_of_a_job_count_as_changes(engine: Engine) -> None:
    attempt = create_attempt(engine)
    for epoch in range(3):
        with attempt.fenced_session() as (session, job):
            events.append(session, job, "epoch", {"epoch": epoch})
    with attempt.fenced_session() as (session, job):
        events.append(session, job, "measured", {"network": "best", "name": "clean", "value": 0.5})
    assert changes(engine, attempt.job_id) == ["created", "status", "changed", "results"]


def test_the_collector_prunes_after_a_day(engine: Engine, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    collector = Collector(settings, engine, Objects.from_settings(settings))
    record_committed(engine, "old")
    assert list(collector.collect()) == []
    with write_session(engine) as session:
        session.execute(update(ProjectEventRow).values(at=database_now() - 25 * HOUR_MS))
    record_committed(engine, "new")
    planned = [Removed("project events", "1")]
    dry_run = Collector(settings, engine, Objects.from_settings(settings), dry_run=True)
    assert list(dry_run.collect()) == planned
    assert list(collector.collect()) == planned
    assert [row.item_id for row in list_all(engine)] == ["new"]


def test_an_abandoned_upload_is_recorded_as_deleted(engine: Engine, tmp_path: Path) -> None:
    with write_session(engine) as session:
        dataset = datasets.create(
            session, DEFAULT_PROJECT, "images", "upload", status="awaiting_upload"
        )
    settings = Settings(home=tmp_path)
    with write_session(engine) as session:
        session.execute(update(DatasetRow).values(created_at=0))
    list(Collector(settings, engine, Objects.from_settings(settings)).collect())
    assert changes(engine, dataset.id) == ["created", "deleted"]
