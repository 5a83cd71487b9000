"""Results as rows: replaced, assigned to models, and forgotten with what they are of."""

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, select

from core.settings import Settings
from core.store import jobs
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import (
    DEFAULT_PROJECT,
    JobResultRow,
    JobRow,
    ModelRow,
    SearchWordRow,
)
from core.store.objects.collector import Collector
from core.store.objects.store import Objects
from core.store.registry import uploaded_items
from core.store.results import rows
from tests.builders import create_attempt
from tests.measured_jobs import PGD, accuracy, finish_evaluation, finish_job, number, pack


def results(engine: Engine, *columns: Any) -> list[tuple[Any, ...]]:
    statement = select(*columns).order_by(JobResultRow.job_id, JobResultRow.key)
    with read_session(engine) as session:
        return [tuple(row) for row in session.execute(statement)]


def collect(engine: Engine, tmp_path: Any) -> None:
    settings = Settings(
        home=tmp_path, retain_deleted_days=0, objects_url=f"file://{tmp_path / 'objects'}"
    )
    list(Collector(settings, engine, Objects.from_settings(settings)).collect())


def test_later_attempt_replaces_a_result(engine: Engine) -> None:
    attempt = create_attempt(engine)
    for result in (number(PGD, 0.5), accuracy(PGD, range(36))):
        with attempt.fenced_session() as (session, job):
            rows.record(session, job, result)
    columns = (JobResultRow.value, JobResultRow.images, JobResultRow.mask, JobResultRow.name)
    assert results(engine, *columns) == [(0.1, 360, pack(range(36)), "pgd")]


def test_result_says_its_threat_model(engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        rows.record(session, job, accuracy("autoattack@l2:0.5", range(3), network="last"))
        rows.record(session, job, number("training_seconds_per_epoch", 0.25))
    columns = (JobResultRow.norm, JobResultRow.radius, JobResultRow.is_main, JobResultRow.network)
    assert results(engine, *columns) == [
        ("l2", 0.5, False, "last"),
        (None, None, True, "best"),
    ]


def test_results_of_a_model_outlive_its_job(engine: Engine, tmp_path: Any) -> None:
    """Deleting a job keeps its student, and what is known of the student."""
    job = finish_job(
        engine, accuracy(PGD, range(10)), accuracy(PGD, range(9), network="last"), name="alpha"
    )
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job.id)
    collect(engine, tmp_path)
    assert results(engine, JobResultRow.model_id, JobResultRow.network) == [(job.model_id, "best")]
    with read_session(engine) as session:
        assert jobs.find(session, DEFAULT_PROJECT, job.id) is None
        words = session.scalars(select(SearchWordRow.item_id).distinct()).all()
    assert words == [job.model_id]
    with write_session(engine) as session:
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, str(job.model_id))
    collect(engine, tmp_path)
    assert results(engine, JobResultRow.job_id) == []


def test_results_of_a_job_outlive_its_model(engine: Engine, tmp_path: Any) -> None:
    job = finish_job(engine, accuracy(PGD, range(10)))
    with write_session(engine) as session:
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, str(job.model_id))
    collect(engine, tmp_path)
    assert results(engine, JobResultRow.job_id, JobResultRow.model_id) == [(job.id, None)]


def test_newer_result_replaces_one_of_a_job_that_is_gone(engine: Engine, tmp_path: Any) -> None:
    job = finish_job(engine, accuracy(PGD, range(10)))
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job.id)
    collect(engine, tmp_path)
    newer = finish_evaluation(engine, str(job.model_id), accuracy(PGD, range(20), network="model"))
    assert results(engine, JobResultRow.job_id, JobResultRow.model_id) == [(newer.id, job.model_id)]


def test_evaluation_that_is_tried_again_keeps_its_result(engine: Engine) -> None:
    student = finish_job(engine, accuracy("clean", range(10)))
    evaluation = finish_evaluation(
        engine, str(student.model_id), accuracy("clean", range(20), network="model")
    )
    with transaction(engine, FencedSession) as session:
        job = jobs.get(session, DEFAULT_PROJECT, evaluation.id)
        rows.record(session, job, accuracy("clean", range(30), network="model"))
    columns = (JobResultRow.job_id, JobResultRow.model_id, JobResultRow.value)
    assert results(engine, *columns) == [
        (student.id, None, 10 / 360),
        (evaluation.id, student.model_id, 30 / 360),
    ]


def test_evaluations_that_measure_at_once_do_not_collide(engine: Engine) -> None:
    student = finish_job(engine, number("clean", 0.1))
    evaluations = [finish_evaluation(engine, str(student.model_id)) for _ in range(2)]
    failures: list[BaseException] = []

    def measure(evaluation: JobRow, correct: int, ready: Callable[[], object]) -> None:
        try:
            with transaction(engine, FencedSession) as session:
                job = jobs.get(session, DEFAULT_PROJECT, evaluation.id)
                rows.record(session, job, accuracy("clean", range(correct), network="model"))
                ready()
        except BaseException as error:
            failures.append(error)

    threads: list[threading.Thread] = []

    def start_second() -> None:
        threads.append(threading.Thread(target=measure, args=(evaluations[1], 20, lambda: None)))
        threads[0].start()

    measure(evaluations[0], 10, start_second)
    threads[0].join()
    assert failures == []
    columns = (JobResultRow.job_id, JobResultRow.model_id)
    assert [row for row in results(engine, *columns) if row[1] is not None] == [
        (evaluations[1].id, student.model_id)
    ]
