"""A job's events, in pages and as a stream."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.events import server_sent_events
from api.events.job_stream import JobCursor
from core.store import attempts, events
from core.store.database.engine import make_engine
from tests.api.conftest import STRANGERS_KEY, Service, bearer
from tests.builders import create_attempt, create_job, set_progress, start_phase
from tests.servers import wait_until

STREAM = {"Accept": "text/event-stream"}


@dataclass
class Message:
    id: str | None = None
    event: str | None = None
    data: Any = None


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """Parse text/event-stream, independently of the client's parser."""
    message = Message()
    for line in lines:
        if line == "" and message != Message():
            yield message
            message = Message()
        name, _, value = line.partition(": ")
        if name in {"id", "event"}:
            setattr(message, name, value)
        elif name == "data":
            message.data = json.loads(value)


def streamed(client: Any, job_id: str, **headers: str) -> list[Message]:
    """Return all messages of the stream of a job that has ended."""
    with client.stream(
        "GET", f"/v1/jobs/{job_id}/events", headers={**STREAM, **headers}
    ) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        return list(messages(response.iter_lines()))


def create_finished_run(engine: Engine, epochs: int = 3) -> str:
    """Return the id of a succeeded job: queued, running, phase, an event per epoch, succeeded."""
    attempt = create_attempt(engine)
    start_phase(attempt, "training")
    with attempt.fenced_session() as (session, job):
        for epoch in range(1, epochs + 1):
            events.append(session, job, "epoch", {"epoch": epoch})
        attempts.succeed(session, job)
    return attempt.job_id


def test_events_are_listed_in_pages(client: TestClient, engine: Engine) -> None:
    job_id = create_finished_run(engine)
    page = client.get(f"/v1/jobs/{job_id}/events", params={"limit": 4}).json()
    assert [event["seq"] for event in page["data"]] == [1, 2, 3, 4]
    assert [event["type"] for event in page["data"]] == ["status", "status", "phase", "epoch"]
    assert (page["has_more"], page["next_cursor"]) == (True, "4")
    rest = client.get(f"/v1/jobs/{job_id}/events", params={"after": page["next_cursor"]}).json()
    assert [event["seq"] for event in rest["data"]] == [5, 6, 7]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)


def test_stream_of_an_ended_job_replays_all_events(client: TestClient, engine: Engine) -> None:
    """The last message is the event that ended the job, after the job itself."""
    received = streamed(client, create_finished_run(engine))
    assert [message.id for message in received] == ["1", "2", "3", "4", "5", "6", None, "7"]
    assert received[-1].event == "status"
    assert received[-1].data["data"]["to"] == "succeeded"
    assert (received[-2].event, received[-2].data["status"]) == ("job", "succeeded")
    assert all(message.data["seq"] == int(message.id) for message in received if message.id)


def test_stream_resumes_after_the_last_event_id(client: TestClient, engine: Engine) -> None:
    job_id = create_finished_run(engine)
    resumed = streamed(client, job_id, **{"Last-Event-ID": "5"})
    assert [message.id for message in resumed] == ["6", None, "7"]
    assert [message.id for message in streamed(client, job_id, **{"Last-Event-ID": "7"})] == [None]
    assert len(streamed(client, job_id, **{"Last-Event-ID": "nonsense"})) == 8


def test_long_history_is_replayed_in_order(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of the batches in which it is read."""
    job_id = create_finished_run(engine, epochs=25)
    monkeypatch.setattr(server_sent_events, "BATCH_SIZE", 4)
    received = streamed(client, job_id)
    assert [int(message.id) for message in received if message.id] == list(range(1, 30))
    assert received[-1].data["data"]["to"] == "succeeded"


def test_stream_needs_a_key_of_the_project(
    client: TestClient, anonymous: TestClient, engine: Engine
) -> None:
    path = f"/v1/jobs/{create_job(engine).id}/events"
    assert anonymous.get(path, headers=STREAM).status_code == 401
    assert client.get(path, headers={**STREAM, **bearer(STRANGERS_KEY)}).status_code == 404
    assert (
        client.get("/v1/jobs/job_none/events", headers=STREAM).headers["Content-Type"]
        == "application/problem+json"
    )


class Listener:
    """Reads one stream in a thread until it ends."""

    def __init__(self, service: Service, job_id: str, **headers: str) -> None:
        self.service = service
        self.path = f"/v1/jobs/{job_id}/events"
        self.headers = {**STREAM, **headers}
        self.messages: list[Message] = []
        self.raw: list[str] = []
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            with self.service.client.stream(
                "GET", self.path, headers=self.headers, timeout=30
            ) as response:
                self._receive(response)
        except Exception as error:
            self.error = error

    def _receive(self, response: httpx2.Response) -> None:
        def lines() -> Iterator[str]:
            for line in response.iter_lines():
                self.raw.append(line)
                yield line

        for message in messages(lines()):
            self.messages.append(message)

    def has(self, condition: Callable[[Message], Any]) -> bool:
        return any(condition(message) for message in self.messages)


def test_live_stream_sends_progress_and_events(service: Service, engine: Engine) -> None:
    """As they happen, until the job has ended."""
    job = create_job(engine)
    listener = Listener(service, job.id)
    wait_until(
        lambda: listener.has(lambda message: message.event == "job"), what="the job as it stands"
    )
    attempt = create_attempt(engine, job)
    wait_until(
        lambda: listener.has(lambda m: m.id and m.data["data"].get("to") == "running"),
        seconds=5,
        what="the claim",
    )
    set_progress(attempt, {"phase": "training", "step": 7, "of": 9})
    wait_until(
        lambda: listener.has(
            lambda m: m.event == "job" and (m.data["progress"] or {}).get("step") == 7
        ),
        seconds=5,
    )
    start = time.monotonic()
    with attempt.fenced_session() as (session, row):
        attempts.succeed(session, row)
    listener.thread.join(10)
    assert time.monotonic() - start < 5
    assert not listener.thread.is_alive()
    assert listener.error is None
    assert listener.messages[-1].data["data"]["to"] == "succeeded"


def test_every_stream_gets_every_event_once(service: Service, engine: Engine) -> None:
    """With five streams of each of four jobs."""
    attempts_ = [create_attempt(engine) for _ in range(4)]
    listeners = [Listener(service, attempt.job_id) for attempt in attempts_ for _ in range(5)]
    wait_until(lambda: all(listener.messages for listener in listeners), what="every stream")
    for epoch in range(5):
        for attempt in attempts_:
            with attempt.fenced_session() as (session, job):
                events.append(session, job, "epoch", {"epoch": epoch})
    for attempt in attempts_:
        with attempt.fenced_session() as (session, job):
            attempts.succeed(session, job)
    for listener in listeners:
        listener.thread.join(10)
        assert [int(message.id) for message in listener.messages if message.id] == list(range(1, 9))


def test_open_streams_do_not_delay_a_shutdown(
    start_service: Callable[..., Service], engine: Engine
) -> None:
    job = create_job(engine)
    for command in (None, ["-m", "uvicorn", "api.app:create_app", "--factory", "--port", "{port}"]):
        service = start_service(command)
        listeners = [Listener(service, job.id) for _ in range(3)]
        for listener in listeners:
            wait_until(partial(listener.has, bool), what="the stream")
        assert service.terminate() < 4
        for listener in listeners:
            listener.thread.join(5)
            assert listener.error is None


def test_reconnecting_after_a_restart_misses_nothing(
    start_service: Callable[..., Service], engine: Engine
) -> None:
    attempt = create_attempt(engine)
    first = start_service()
    before = Listener(first, attempt.job_id)
    wait_until(lambda: bool(before.messages), what="the stream")
    first.terminate()
    before.thread.join(5)
    with attempt.fenced_session() as (session, job):
        events.append(session, job, "epoch", {"epoch": 1})
        attempts.succeed(session, job)
    last = [message.id for message in before.messages if message.id][-1]
    after = Listener(start_service(), attempt.job_id, **{"Last-Event-ID": str(last)})
    after.thread.join(10)
    seqs = [
        int(message.id)
        for listener in (before, after)
        for message in listener.messages
        if message.id
    ]
    assert seqs == [1, 2, 3, 4]


def test_stream_without_follow_ends_with_what_there_is(client: TestClient, engine: Engine) -> None:
    """Whether or not the job has ended."""
    attempt = create_attempt(engine)
    path = f"/v1/jobs/{attempt.job_id}/events?follow=false"
    with client.stream("GET", path, headers=STREAM) as response:
        received = list(messages(response.iter_lines()))
    assert [message.id for message in received] == ["1", "2", None]
    assert received[-1].data["status"] == "running"


def test_silent_stream_is_kept_alive_by_comments(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_sent_events, "KEEP_ALIVE_SECONDS", 0.2)
    attempt = create_attempt(engine)
    keep_alive = JobCursor.keep_alive
    comments = itertools.count(1)
    three_comments = threading.Event()

    def count_comments(self: JobCursor) -> bytes:
        if next(comments) == 3:
            three_comments.set()
        return keep_alive(self)

    monkeypatch.setattr(JobCursor, "keep_alive", count_comments)

    def end() -> None:
        three_comments.wait(60)
        with attempt.fenced_session() as (session, job):
            attempts.succeed(session, job)

    thread = threading.Thread(target=end)
    thread.start()
    with client.stream("GET", f"/v1/jobs/{attempt.job_id}/events", headers=STREAM) as response:
        text = response.read().decode()
    thread.join()
    assert text.count(": still here") >= 3


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=201", "types=a"])
def test_invalid_pages_are_refused(client: TestClient, engine: Engine, query: str) -> None:
    assert client.get(f"/v1/jobs/{create_job(engine).id}/events?{query}").status_code == 422


def test_events_on_postgres_are_the_same(
    postgres_url: str, start_service: Callable[..., Service]
) -> None:
    engine = make_engine(postgres_url)
    from core.store.access import keys
    from core.store.database.tables import DEFAULT_PROJECT
    from tests.api.conftest import KEY

    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    received = streamed(
        start_service(database_url=postgres_url).client, create_finished_run(engine)
    )
    assert [message.id for message in received] == ["1", "2", "3", "4", "5", "6", None, "7"]
    engine.dispose()
