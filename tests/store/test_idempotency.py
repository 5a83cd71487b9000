"""One Idempotency-Key, one request carried out."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, update

from core.errors import Conflict, Invalid
from core.store import idempotency, jobs
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, IdempotencyRow
from core.store.idempotency import RETENTION_MS, STALE_MS, SavedResponse
from tests.builders import training_spec


def grow_old(engine: Engine, by_ms: int) -> None:
    with write_session(engine) as session:
        session.execute(update(IdempotencyRow).values(created_at=database_now() - by_ms - 1000))


def begin(engine: Engine, fingerprint: str = "f", key_id: str = "key_1") -> SavedResponse | None:
    with write_session(engine) as session:
        return idempotency.reserve(session, key_id, "k", fingerprint)


def test_20_copies_at_once_make_one_job_and_get_one_answer(engine: Engine) -> None:
    gate = threading.Barrier(20)

    def post(_: int) -> str:
        gate.wait()
        with write_session(engine) as session:
            stored = idempotency.reserve(session, "key_1", "k", "f")
            if stored is not None:
                return stored.body
            job = jobs.submit(session, DEFAULT_PROJECT, training_spec(), dataset_id=DIGITS_ID)
            idempotency.save_response(session, "key_1", "k", 201, job.id)
            return job.id

    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(post, range(20)))
    with read_session(engine) as session:
        made, _ = jobs.list_jobs(session, DEFAULT_PROJECT)
    assert answers == {job.id for job in made}
    assert len(made) == 1


def test_the_answer_is_kept_and_another_request_under_the_key_refused(engine: Engine) -> None:
    assert begin(engine) is None
    with write_session(engine) as session:
        idempotency.save_response(session, "key_1", "k", 201, "body")
    assert begin(engine) == SavedResponse(201, "body")
    with pytest.raises(Invalid) as caught:
        begin(engine, fingerprint="other")
    assert caught.value.code == "idempotency_key_reused"
    assert begin(engine, fingerprint="other", key_id="key_2") is None


def test_a_copy_of_a_request_that_still_runs_is_told_so(engine: Engine) -> None:
    assert begin(engine) is None
    with pytest.raises(Conflict) as caught:
        begin(engine)
    assert caught.value.code == "idempotency_in_progress"


def test_a_key_is_free_again_after_a_failure_a_crash_or_a_day(engine: Engine) -> None:
    def abandon() -> None:
        with write_session(engine) as session:
            idempotency.abandon(session, "key_1", "k")

    def finish_and_wait() -> None:
        with write_session(engine) as session:
            idempotency.save_response(session, "key_1", "k", 201, "body")
        grow_old(engine, STALE_MS)
        assert begin(engine) is not None
        grow_old(engine, RETENTION_MS)

    freed: list[Callable[[], None]] = [abandon, lambda: grow_old(engine, STALE_MS), finish_and_wait]
    for free in freed:
        assert begin(engine) is None
        free()
    with write_session(engine) as session:
        idempotency.delete_expired(session)
    assert begin(engine) is None
