"""Requests with one Idempotency-Key are carried out once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, update

from core.errors import Conflict, Invalid
from core.store import jobs
from core.store.access import idempotency
from core.store.access.idempotency import RETENTION_MS, STALE_MS, SavedResponse
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, IdempotencyRow
from tests.builders import training_spec


def make_older(engine: Engine, milliseconds: int) -> None:
    with write_session(engine) as session:
        session.execute(
            update(IdempotencyRow).values(created_at=database_now() - milliseconds - 1000)
        )


def reserve(engine: Engine, fingerprint: str = "f", key_id: str = "key_1") -> SavedResponse | None:
    with write_session(engine) as session:
        return idempotency.reserve(session, key_id, "k", fingerprint)


def fail_after_reserving(engine: Engine) -> None:
    with write_session(engine) as session:
        assert idempotency.reserve(session, "key_1", "k", "f") is None
        raise KeyError


def test_20_concurrent_copies_create_one_job(engine: Engine) -> None:
    barrier = threading.Barrier(20)

    def post(_: int) -> str:
        barrier.wait()
        with write_session(engine) as session:
            saved = idempotency.reserve(session, "key_1", "k", "f")
            if saved is not None:
                return saved.body
            job = jobs.submit(session, DEFAULT_PROJECT, training_spec(), dataset_id=DIGITS_ID)
            idempotency.save_response(session, "key_1", "k", 201, job.id)
            return job.id

    with ThreadPoolExecutor(20) as pool:
        responses = set(pool.map(post, range(20)))
    with read_session(engine) as session:
        created, _ = jobs.list_jobs(session, DEFAULT_PROJECT)
    assert responses == {job.id for job in created}
    assert len(created) == 1


def test_a_key_returns_its_response_to_its_request_only(engine: Engine) -> None:
    assert reserve(engine) is None
    with write_session(engine) as session:
        idempotency.save_response(session, "key_1", "k", 201, "body")
    assert reserve(engine) == SavedResponse(201, "body")
    with pytest.raises(Invalid) as caught:
        reserve(engine, fingerprint="other")
    assert caught.value.code == "idempotency_key_reused"
    assert reserve(engine, fingerprint="other", key_id="key_2") is None


def test_a_copy_of_a_running_request_is_a_conflict(engine: Engine) -> None:
    assert reserve(engine) is None
    with pytest.raises(Conflict) as caught:
        reserve(engine)
    assert caught.value.code == "idempotency_in_progress"


def test_a_key_is_free_after_a_failure_a_crash_or_a_day(engine: Engine) -> None:
    def reserve_and_fail() -> None:
        with pytest.raises(KeyError):
            fail_after_reserving(engine)

    def reserve_and_crash() -> None:
        assert reserve(engine) is None
        make_older(engine, STALE_MS)

    def finish_and_wait() -> None:
        assert reserve(engine) is None
        with write_session(engine) as session:
            idempotency.save_response(session, "key_1", "k", 201, "body")
        make_older(engine, STALE_MS)
        assert reserve(engine) is not None
        make_older(engine, RETENTION_MS)

    uses: list[Callable[[], None]] = [reserve_and_fail, reserve_and_crash, finish_and_wait]
    for use in uses:
        use()
    with write_session(engine) as session:
        idempotency.delete_expired(session)
    assert reserve(engine) is None
