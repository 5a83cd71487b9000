"""One reader for all streams of a process: what it reads, and what each stream lacks of it."""

from typing import Any

import pytest
from sqlalchemy import Engine, event

from api.events import job_changes, server_sent_events
from api.events.job_changes import JobChanges, JobUpdate, Position
from api.events.job_stream import JobCursor
from api.events.topics import MAX_UPDATES, Subscription
from core.store import attempts, events
from tests.builders import create_attempt, set_progress


def read(changes: JobChanges) -> dict[str, JobUpdate]:
    """Read once and publish it, as the process's reader does."""
    updates = changes.read(changes.positions())
    changes.publish_all(updates)
    return updates


def ids(text: bytes | None) -> list[str]:
    assert text is not None
    lines = text.decode().splitlines()
    return [line[4:] for line in lines if line.startswith("id: ")]


def test_an_update_is_read_once_for_all_streams(engine: Engine) -> None:
    """Its events with one query for all jobs."""
    attempt = create_attempt(engine)
    changes = JobChanges(engine)
    with (
        changes.subscribe(attempt.job_id, "key_1") as first,
        changes.subscribe(attempt.job_id, "key_1") as second,
    ):
        read(changes)
        first.take()
        second.take()
        with attempt.fenced_session() as (session, job):
            events.append(session, job, "note", {"message": "one"})
        statements: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        updates = read(changes)
        assert sum("known" in statement for statement in statements) == 1
        assert first.take() == second.take() == [updates[attempt.job_id]]


def test_a_stream_gets_only_what_it_lacks() -> None:
    update = JobUpdate(
        after=Position(version=4, seq=2),
        until=Position(version=7, seq=4),
        events=((3, b"id: 3\n\n"), (4, b"id: 4\n\n")),
        job=b"event: job\n\n",
        ends_job=True,
        ended=True,
    )
    assert update.messages_after(Position(4, 2)) == b"id: 3\n\nevent: job\n\nid: 4\n\n"
    assert update.messages_after(Position(5, 3)) == b"event: job\n\nid: 4\n\n"
    assert update.messages_after(Position(7, 3)) == b"id: 4\n\n"
    assert update.messages_after(Position(8, 4)) == b""
    assert update.messages_after(Position(3, 1)) is None


def test_a_stream_that_missed_an_update_reads_again(engine: Engine) -> None:
    attempt = create_attempt(engine)
    changes = JobChanges(engine)
    cursor = JobCursor(engine, attempt.job_id, 0)
    assert ids(b"".join(cursor.read())) == ["1", "2"]
    with changes.subscribe(attempt.job_id, "key_1"):
        read(changes)
        for number in range(3):
            with attempt.fenced_session() as (session, job):
                events.append(session, job, "note", {"message": str(number)})
            updates = read(changes)
    assert cursor.apply(updates[attempt.job_id]) is None
    assert ids(b"".join(cursor.read())) == ["3", "4", "5"]
    assert cursor.apply(updates[attempt.job_id]) == b""


def test_a_first_reading_wakes_streams_that_are_behind(engine: Engine) -> None:
    """An event between a stream's own reading and the first common one is not lost."""
    attempt = create_attempt(engine)
    cursor = JobCursor(engine, attempt.job_id, 0)
    cursor.read()
    with attempt.fenced_session() as (session, job):
        events.append(session, job, "note", {"message": "in between"})
    changes = JobChanges(engine)
    with changes.subscribe(attempt.job_id, "key_1") as subscription:
        read(changes)
        assert [cursor.apply(update) for update in subscription.take() or []] == [None]
    assert ids(b"".join(cursor.read())) == ["3"]


def test_too_many_events_are_left_to_the_streams(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_changes, "MAX_EVENTS", 4)
    attempts_ = [create_attempt(engine) for _ in range(2)]
    cursors = [JobCursor(engine, attempt.job_id, 0) for attempt in attempts_]
    for cursor in cursors:
        cursor.read()
    changes = JobChanges(engine)
    with changes.subscribe(attempts_[0].job_id, "k"), changes.subscribe(attempts_[1].job_id, "k"):
        read(changes)
        for attempt in attempts_:
            with attempt.fenced_session() as (session, job):
                for number in range(3):
                    events.append(session, job, "note", {"message": str(number)})
        updates = read(changes)
        for cursor, attempt in zip(cursors, attempts_, strict=True):
            text = cursor.apply(updates[attempt.job_id])
            assert ids(text if text is not None else b"".join(cursor.read())) == ["3", "4", "5"]
        assert read(changes) == {}


def test_progress_alone_sends_the_job(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cursor = JobCursor(engine, attempt.job_id, 0)
    cursor.read()
    changes = JobChanges(engine)
    with changes.subscribe(attempt.job_id, "k"):
        read(changes)
        set_progress(attempt, {"phase": "training", "step": 7, "of": 9})
        text = cursor.apply(read(changes)[attempt.job_id])
    assert text is not None
    assert text.startswith(b"event: job")
    assert b'"step":7' in text


def test_the_job_precedes_the_event_that_ends_it(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cursor = JobCursor(engine, attempt.job_id, 0)
    cursor.read()
    changes = JobChanges(engine)
    with changes.subscribe(attempt.job_id, "k"):
        read(changes)
        with attempt.fenced_session() as (session, job):
            attempts.succeed(session, job)
        text = cursor.apply(read(changes)[attempt.job_id])
    assert text is not None
    assert text.index(b'"status":"succeeded"') < text.index(b"id: 3")
    assert cursor.ended


def test_a_slow_stream_keeps_a_bounded_number_of_updates() -> None:
    subscription: Subscription[Any] = Subscription("key_1")
    for number in range(MAX_UPDATES):
        subscription.publish(number)
    assert subscription.take() == list(range(MAX_UPDATES))
    for number in range(10 * MAX_UPDATES):
        subscription.publish(number)
        assert len(subscription._updates) <= MAX_UPDATES
    assert subscription.take() is None
    assert subscription.take() == []


def test_long_histories_are_read_in_batches(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_sent_events, "BATCH_SIZE", 2)
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        for number in range(3):
            events.append(session, job, "note", {"message": str(number)})
    cursor = JobCursor(engine, attempt.job_id, 0)
    texts = []
    while cursor.has_more:
        texts.append(b"".join(cursor.read()))
    assert [ids(text) for text in texts] == [["1", "2"], ["3", "4"], ["5"]]
    assert [b"event: job" in text for text in texts] == [False, False, True]
