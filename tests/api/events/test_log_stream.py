"""The lines of a job's log as a stream, replayed and live."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.settings import Settings
from core.store import attempts, jobs
from core.store.access import keys
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects import log_archive
from core.store.objects.store import Objects
from tests.api.conftest import KEY, STRANGERS_KEY, Service, bearer
from tests.api.endpoints.test_attempts import fail, write_log
from tests.api.events.test_server_sent_events import STREAM, Listener, Message, messages
from tests.builders import create_attempt, create_job
from tests.servers import wait_until
from tests.worker.logs.builders import create_log


def streamed(client: TestClient, job_id: str, query: str = "", **headers: str) -> list[Message]:
    """Return all messages of a stream that ends."""
    path = f"/v1/jobs/{job_id}/logs?{query}"
    with client.stream("GET", path, headers={**STREAM, **headers}) as response:
        assert response.status_code == 200
        return list(messages(response.iter_lines()))


def ids(received: list[Message]) -> list[str | None]:
    return [message.id for message in received]


class LogListener(Listener):
    """Reads the stream of a log in a thread until it ends."""

    def __init__(self, service: Service, job_id: str, **headers: str) -> None:
        self.log_path = f"/v1/jobs/{job_id}/logs"
        super().__init__(service, job_id, **headers)

    def _read(self) -> None:
        self.path = self.log_path
        super()._read()

    def texts(self) -> list[str]:
        return [message.data["text"] for message in self.messages if message.event == "line"]


@pytest.mark.parametrize("archived", [False, True])
def test_log_of_an_ended_job_is_replayed(
    client: TestClient, engine: Engine, settings: Settings, archived: bool
) -> None:
    attempt = create_attempt(engine)
    write_log(attempt, 3, end=True)
    if archived:
        log_archive.archive_ended(engine, Objects.from_settings(settings))
    received = streamed(client, attempt.job_id)
    assert ids(received) == ["1:1", "1:2", "1:3", "1:4", None]
    assert {message.event for message in received[:-1]} == {"line"}
    line = received[0].data
    assert (line["seq"], line["text"], line["attempt"]) == (1, "line 1", 1)
    assert received[-1].event == "end"
    assert received[-1].data == {"attempt": 1, "outcome": "succeeded", "status": "succeeded"}
    assert ids(streamed(client, attempt.job_id, **{"Last-Event-ID": "1:3"})) == ["1:4", None]
    assert ids(streamed(client, attempt.job_id, **{"Last-Event-ID": "1:4"})) == [None]
    assert len(streamed(client, attempt.job_id, **{"Last-Event-ID": "nonsense"})) == 5
    assert ids(streamed(client, attempt.job_id, "tail=1")) == ["1:4", None]
    assert ids(streamed(client, attempt.job_id, "after=2")) == ["1:3", "1:4", None]


def test_stream_goes_on_with_later_attempts(client: TestClient, engine: Engine) -> None:
    job = create_job(engine)
    first = create_attempt(engine, job)
    write_log(first, 2)
    fail(first)
    write_log(create_attempt(engine, job), 1, end=True)
    assert ids(streamed(client, job.id)) == ["2:1", "2:2", None], "begins with the newest"
    resumed = streamed(client, job.id, **{"Last-Event-ID": "1:1"})
    assert ids(resumed) == ["1:2", "2:1", "2:2", None]
    only_first = streamed(client, job.id, "attempt=1")
    assert ids(only_first) == ["1:1", "1:2", None]
    assert only_first[-1].data == {"attempt": 1, "outcome": "failed", "status": "succeeded"}
    assert ids(streamed(client, job.id, "attempt=1", **{"Last-Event-ID": "2:1"})) == [
        "1:1",
        "1:2",
        None,
    ]


def test_stream_without_follow_ends_with_what_there_is(client: TestClient, engine: Engine) -> None:
    attempt = create_attempt(engine)
    assert [message.data for message in streamed(client, attempt.job_id, "follow=false")] == [
        {"attempt": 1, "outcome": None, "status": "running"}
    ]
    write_log(attempt, 2)
    assert ids(streamed(client, attempt.job_id, "follow=false")) == ["1:1", "1:2", None]
    queued = streamed(client, create_job(engine).id, "follow=false")
    assert queued[-1].data == {"attempt": None, "outcome": None, "status": "queued"}


def test_cancelled_job_without_attempts_ends_its_stream(client: TestClient, engine: Engine) -> None:
    job = create_job(engine)
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
    (end,) = streamed(client, job.id)
    assert end.data == {"attempt": None, "outcome": None, "status": "cancelled"}


def test_streams_of_other_projects_are_404(client: TestClient, engine: Engine) -> None:
    path = f"/v1/jobs/{create_attempt(engine).job_id}/logs"
    assert client.get(path, headers={**STREAM, **bearer(STRANGERS_KEY)}).status_code == 404


def follow_two_attempts(service: Service, engine: Engine) -> None:
    """A stream that was opened before the first attempt gets every line of both, once."""
    job = create_job(engine)
    listener = LogListener(service, job.id)
    wait_until(lambda: bool(listener.raw), what="the stream")
    first = create_attempt(engine, job)
    log = create_log(engine, first)
    for number in range(5):
        log.write("stdout", b"first %d\n" % number)
        log.publish()
    wait_until(lambda: len(listener.texts()) == 5, what="the lines of the first attempt")
    fail(first)
    second = create_attempt(engine, job)
    log = create_log(engine, second)
    log.write("stderr", b"second\n")
    with second.fenced_session() as (session, row):
        attempts.succeed(session, row)
        log.complete(session, "attempt ended")
    listener.thread.join(10)
    assert listener.error is None
    assert listener.texts() == [
        *(f"first {number}" for number in range(5)),
        "second",
        "attempt ended",
    ]
    assert listener.messages[-1].event == "end"


def test_live_stream_sends_lines_as_they_come(service: Service, engine: Engine) -> None:
    follow_two_attempts(service, engine)


def test_live_logs_on_postgres_are_the_same(
    postgres_url: str, start_service: Callable[..., Service]
) -> None:
    engine = make_engine(postgres_url)
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    follow_two_attempts(start_service(database_url=postgres_url), engine)
    engine.dispose()


def test_open_log_streams_do_not_delay_a_shutdown(service: Service, engine: Engine) -> None:
    listener = LogListener(service, create_attempt(engine).job_id)
    wait_until(lambda: bool(listener.raw), what="the stream")
    assert service.terminate() < 5
    listener.thread.join(5)
    assert listener.error is None


def test_revoked_key_ends_its_log_streams(service: Service, engine: Engine) -> None:
    with write_session(engine) as session:
        key, secret = keys.create(session, DEFAULT_PROJECT, "short-lived", ("read",))
    listener = LogListener(service, create_attempt(engine).job_id, **bearer(secret))
    wait_until(lambda: bool(listener.raw), what="the stream")
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, key.id)
    listener.thread.join(10)
    assert not listener.thread.is_alive()


def test_hostile_lines_stay_one_message(client: TestClient, engine: Engine) -> None:
    """Nothing that a trainer prints begins a message of its own."""
    attempt = create_attempt(engine)
    log = create_log(engine, attempt)
    log.write("stdout", b"data: x\r\revent: end\ndata: {}\n\xe2\x80\xa8id: 9:9\n")
    log.publish()
    received = streamed(client, attempt.job_id, "follow=false")
    lines: list[Any] = [message.data["text"] for message in received[:-1]]
    assert lines == ["data: x", "", "event: end", "data: {}", "\\u2028id: 9:9"]
    assert json.dumps(received[-1].data["outcome"]) == "null"
