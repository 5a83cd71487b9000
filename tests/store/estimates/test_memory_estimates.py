"""Memory estimates: asked once, answered once, however many ask and answer."""

import pytest
from sqlalchemy import Engine, select, update

from core.store.database.clock import database_now
from core.store.database.engine import read_session, write_session
from core.store.database.tables import MemoryEstimateRow
from core.store.estimates import memory_estimates
from core.store.estimates.memory_estimates import MAX_TRIES, RETENTION_MS

KEY = "a" * 64


def ask(engine: Engine, *keys: str) -> None:
    memory_estimates.enqueue(engine, {key: {"asked": key} for key in keys or (KEY,)})


def find(engine: Engine, key: str = KEY) -> MemoryEstimateRow:
    with read_session(engine) as session:
        return memory_estimates.find(session, [key])[key]


def set_columns(engine: Engine, **values: object) -> None:
    with write_session(engine) as session:
        session.execute(update(MemoryEstimateRow).values(**values))


def test_a_request_is_answered(engine: Engine) -> None:
    ask(engine)
    row = memory_estimates.claim(engine, 60)
    assert row is not None
    assert (row.key, row.request) == (KEY, {"asked": KEY})
    memory_estimates.record(engine, KEY, 123, {"networks": 100})
    answered = find(engine)
    assert (answered.status, answered.bytes, answered.parts) == ("known", 123, {"networks": 100})
    ask(engine)  # changes nothing
    assert find(engine).status == "known"
    assert memory_estimates.claim(engine, 60) is None


def test_two_workers_never_claim_the_same(engine: Engine) -> None:
    ask(engine, "a", "b")
    claimed = [memory_estimates.claim(engine, 60) for _ in range(3)]
    assert sorted(row.key for row in claimed if row) == ["a", "b"]
    assert claimed[2] is None


def test_a_lost_request_is_claimed_again(engine: Engine) -> None:
    ask(engine)
    for _ in range(MAX_TRIES):
        assert memory_estimates.claim(engine, 60) is not None
        set_columns(engine, not_before=0)
    assert memory_estimates.claim(engine, 60) is None
    assert find(engine).status == "unavailable"


def test_refusal_says_why(engine: Engine) -> None:
    ask(engine)
    memory_estimates.record_failure(engine, KEY, "x" * 1000)
    assert (find(engine).status, find(engine).problem) == ("unavailable", "x" * 500)


def test_pending_requests_are_limited(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_estimates, "MAX_PENDING", 2)
    ask(engine, "a", "b", "c")
    with read_session(engine) as session:
        assert session.scalars(select(MemoryEstimateRow.key)).all() == ["a", "b"]
    memory_estimates.record(engine, "a", 1, {})
    ask(engine, "c")
    assert find(engine, "c").status == "pending"


def test_unused_estimates_are_deleted(engine: Engine) -> None:
    ask(engine, "a", "b")
    with write_session(engine) as session:
        old = database_now() - RETENTION_MS - 1000
        is_first = MemoryEstimateRow.key == "a"
        session.execute(update(MemoryEstimateRow).where(is_first).values(used_at=old))
        memory_estimates.delete_unused(session)
        assert session.scalars(select(MemoryEstimateRow.key)).all() == ["b"]


def test_use_is_recorded_once_a_day(engine: Engine) -> None:
    ask(engine)
    before = find(engine).used_at
    memory_estimates.touch(engine, [find(engine)], before + 1000)
    assert find(engine).used_at == before
    set_columns(engine, used_at=before - 2 * memory_estimates.TOUCH_MS)
    memory_estimates.touch(engine, [find(engine)], before)
    assert find(engine).used_at >= before
