"""The changes of a project, in pages and as a stream."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from api.events import open_streams, project_changes, server_sent_events
from api.events.project_changes import ProjectChanges, ProjectUpdate
from api.events.project_stream import ProjectCursor
from core.store import attempts, jobs, project_events, workers
from core.store.access import keys
from core.store.database.clock import database_now
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, ProjectEventRow
from core.store.project_events import ITEM_TYPES
from tests.api.conftest import KEY, STRANGER, STRANGERS_KEY, Service, bearer, make_key
from tests.api.events.test_server_sent_events import STREAM, Message, messages
from tests.builders import create_attempt, create_job, create_teacher, set_progress, training_spec
from tests.servers import wait_until

ALL = frozenset(ITEM_TYPES)


def page(client: TestClient, query: str = "", **headers: str) -> Any:
    response = client.get(f"/v1/events{query}", headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def replayed(client: TestClient, query: str = "", **headers: str) -> list[Message]:
    """Return what there is so far."""
    path = f"/v1/events?follow=false{query}"
    with client.stream("GET", path, headers={**STREAM, **headers}) as response:
        assert response.status_code == 200
        return list(messages(response.iter_lines()))


def prune_all(engine: Engine) -> None:
    with write_session(engine) as session:
        session.execute(update(ProjectEventRow).values(at=0))
    project_events.prune(engine, 1)


def test_changes_are_listed_in_pages(client: TestClient, engine: Engine) -> None:
    job = create_job(engine, name="first")
    model = create_teacher(engine)
    first = page(client, "?limit=2")
    assert [(item["type"], item["id"], item["change"]) for item in first["data"]] == [
        ("job", job.id, "created"),
        ("model", model.id, "created"),
    ]
    assert first["data"][0]["data"] == {
        "status": "queued",
        "name": "first",
        "phase": None,
        "progress": None,
        "sweep_id": None,
        "version": 1,
    }
    assert (first["has_more"], first["reset"]) == (True, False)
    assert first["next_cursor"] == str(first["position"])
    rest = page(client, f"?after={first['next_cursor']}")
    assert [item["change"] for item in rest["data"]] == ["status"]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)
    assert page(client, f"?after={rest['position']}")["data"] == []


def test_changes_are_replayed_as_a_stream(client: TestClient, engine: Engine) -> None:
    job = create_job(engine)
    model = create_teacher(engine)
    received = replayed(client)
    assert [message.event for message in received] == ["job", "model", "model"]
    assert [message.data["id"] for message in received] == [job.id, model.id, model.id]
    assert all(int(message.id or 0) == message.data["seq"] for message in received)
    rest = replayed(client, **{"Last-Event-ID": str(received[0].id)})
    assert [message.id for message in rest] == [message.id for message in received[1:]]
    assert replayed(client, f"&after={received[0].id}") == rest


def test_types_select_changes(client: TestClient, engine: Engine) -> None:
    create_job(engine)
    create_teacher(engine)
    assert {message.event for message in replayed(client, "&types=model,worker")} == {"model"}
    assert [item["type"] for item in page(client, "?types=job")["data"]] == ["job"]


@pytest.mark.parametrize(
    "query", ["types=jobs", "types=", "after=-1", "after=x", "limit=0", "follow=1", "limit=201"]
)
def test_invalid_parameters_are_refused(client: TestClient, query: str) -> None:
    response = client.get(f"/v1/events?{query}")
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"


def test_projects_do_not_see_each_other(client: TestClient, engine: Engine) -> None:
    create_job(engine)
    other = create_job(engine, STRANGER)
    received = replayed(client, **bearer(STRANGERS_KEY))
    assert [message.data["id"] for message in received] == [other.id]
    assert other.id not in {item["id"] for item in page(client)["data"]}


def test_changes_need_the_scope_read(
    client: TestClient, anonymous: TestClient, engine: Engine
) -> None:
    assert anonymous.get("/v1/events", headers=STREAM).status_code == 401
    submitter = make_key(engine, "submit")
    assert client.get("/v1/events", headers={**STREAM, **submitter}).status_code == 403


def test_workers_are_for_operators(client: TestClient, engine: Engine) -> None:
    with write_session(engine) as session:
        workers.register(session, "w", version="1", protocol=1, slots=1, lease_seconds=30)
    assert [item["id"] for item in page(client)["data"]] == ["w"]
    assert [message.data["id"] for message in replayed(client, "&types=worker")] == ["w"]
    reader = make_key(engine, "read")
    assert page(client, **reader)["data"] == []
    assert replayed(client, **reader) == []
    assert client.get("/v1/events?types=job,worker", headers=reader).status_code == 403


def test_a_number_from_before_pruning_is_reset(client: TestClient, engine: Engine) -> None:
    """The client loads everything again, and then goes on from here."""
    create_job(engine)
    create_job(engine)
    first = page(client)["data"][0]["seq"]
    prune_all(engine)
    later = create_job(engine)
    received = replayed(client, **{"Last-Event-ID": str(first)})
    assert [message.event for message in received] == ["reset"]
    assert replayed(client, **{"Last-Event-ID": str(received[0].id)}) == []
    stale = page(client, f"?after={first}")
    assert stale["reset"]
    assert [item["id"] for item in stale["data"]] == [later.id]
    assert not page(client, "?after=0")["reset"]


def test_a_number_from_the_future_is_reset(client: TestClient, engine: Engine) -> None:
    """The database was restored from a backup since the client received it."""
    create_job(engine)
    assert [message.event for message in replayed(client, "&after=1000")] == ["reset"]


class Listener:
    """Reads the project's stream in a thread until it ends."""

    def __init__(
        self, service: Service, query: str = "", path: str = "/v1/events", **headers: str
    ) -> None:
        self.service = service
        self.path = f"{path}{query}"
        self.headers = {**STREAM, **headers}
        self.messages: list[Message] = []
        self.lines: list[str] = []
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        wait_until(lambda: any(line.startswith("retry:") for line in self.lines), what="the stream")

    def _read(self) -> None:
        def lines(response: Any) -> Iterator[str]:
            for line in response.iter_lines():
                self.lines.append(line)
                yield line

        try:
            with self.service.client.stream(
                "GET", self.path, headers=self.headers, timeout=60
            ) as response:
                for message in messages(lines(response)):
                    self.messages.append(message)
        except Exception as error:
            self.error = error

    def wait_until_begun(self) -> None:
        """Wait for a number: from then on it gets what happens."""
        wait_until(lambda: any(line.startswith("id:") for line in self.lines), what="a number")

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.changes) >= count, what=f"{count} changes")

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(m.data["id"], m.data["change"]) for m in self.messages if m.data and m.event]


def test_live_changes_reach_every_stream_once(service: Service, engine: Engine) -> None:
    """Those from before a stream began are left out, unless it asks for them."""
    before = create_job(engine)
    listeners = [Listener(service) for _ in range(3)]
    listeners += [Listener(service, "?types=model"), Listener(service, "?after=0")]
    for listener in listeners:
        listener.wait_until_begun()
    attempt = create_attempt(engine)
    set_progress(attempt, {"step": 1})
    with attempt.fenced_session() as (session, job):
        project_events.record_job(session, job, "progress")
        attempts.succeed(session, job)
    model = create_teacher(engine)
    own = [(attempt.job_id, change) for change in ("created", "status", "progress", "status")]
    models = [(model.id, "created"), (model.id, "status")]
    expected = [own + models] * 3 + [models, [(before.id, "created"), *own, *models]]
    for listener, changes in zip(listeners, expected, strict=True):
        listener.wait_for(len(changes))
        assert listener.changes == changes
    assert service.terminate() < 5
    for listener in listeners:
        listener.thread.join(5)
        assert listener.error is None
        assert not listener.thread.is_alive()


def test_a_reconnecting_client_misses_nothing(
    start_service: Callable[..., Service], engine: Engine
) -> None:
    first = start_service()
    before = Listener(first)
    before.wait_until_begun()
    jobs_ = [create_job(engine)]
    before.wait_for(1)
    first.terminate()
    before.thread.join(5)
    jobs_.append(create_job(engine))
    last_id = [line[4:] for line in before.lines if line.startswith("id: ")][-1]
    after = Listener(start_service(), "?types=job", **{"Last-Event-ID": last_id})
    after.wait_for(1)
    jobs_.append(create_job(engine))
    after.wait_for(2)
    assert before.changes + after.changes == [(job.id, "created") for job in jobs_]


def test_a_revoked_key_ends_its_streams(service: Service, engine: Engine) -> None:
    """Of jobs and of the project; those of other keys go on."""
    with write_session(engine) as session:
        key, secret = keys.create(session, DEFAULT_PROJECT, "revoked", ("read",))
        short, short_secret = keys.create(
            session, DEFAULT_PROJECT, "short", ("read",), database_now() + 60_000
        )
    job = create_job(engine)
    ended = [
        Listener(service, **bearer(secret)),
        Listener(service, **bearer(short_secret)),
        Listener(service, path=f"/v1/jobs/{job.id}/events", **bearer(secret)),
    ]
    goes_on = Listener(service)
    goes_on.wait_until_begun()
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, key.id)
        keys.get(session, DEFAULT_PROJECT, short.id).expires_at = 1
    for listener in ended:
        listener.thread.join(20)
        assert not listener.thread.is_alive()
        assert listener.error is None
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
    goes_on.wait_for(1)
    assert goes_on.changes == [(job.id, "status")]


def test_changes_on_postgres_are_the_same(
    postgres_url: str, start_service: Callable[..., Service]
) -> None:
    engine = make_engine(postgres_url)
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    service = start_service(database_url=postgres_url)
    listener = Listener(service)
    listener.wait_until_begun()
    with write_session(engine) as slow:
        jobs_ = [create_job(engine)]
        late = jobs.submit(slow, DEFAULT_PROJECT, training_spec(), dataset_id=DIGITS_ID)
        jobs_.append(create_job(engine))
        listener.wait_for(2)
    listener.wait_for(3)
    assert [item for item, _ in listener.changes] == [*(job.id for job in jobs_), late.id]
    seqs = [message.data["seq"] for message in listener.messages if message.data]
    assert seqs == sorted(set(seqs))
    engine.dispose()


# -- what the process's reader shares among its streams


def read(changes: ProjectChanges) -> None:
    changes.publish_all(changes.read(frozenset(changes.names), changes.seq))


def text_of(cursor: ProjectCursor, updates: list[ProjectUpdate] | None) -> str:
    """What the stream sends for these updates; it reads by itself where it has to."""
    assert updates is not None
    texts = []
    for item in updates:
        text = cursor.apply(item)
        texts.append(b"".join(cursor.read()) if text is None else text)
    return b"".join(texts).decode()


def test_a_project_that_joins_later_misses_nothing(engine: Engine) -> None:
    """Events between its stream's own reading and the next common one included."""
    changes = ProjectChanges(engine)
    with changes.subscribe(DEFAULT_PROJECT, "k") as own:
        read(changes)
        cursor = ProjectCursor(engine, STRANGER, None, ALL)
        cursor.read()
        reading = changes.read(frozenset(changes.names), changes.seq)
        job = create_job(engine, STRANGER)
        with changes.subscribe(STRANGER, "k") as strangers:
            changes.publish_all(reading)
            read(changes)
            read(changes)
            assert job.id in text_of(cursor, strangers.take())
        assert all(not item.messages for item in own.take() or [])


def test_many_changes_are_read_in_parts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_changes, "MAX_EVENTS", 2)
    monkeypatch.setattr(server_sent_events, "BATCH_SIZE", 2)
    changes = ProjectChanges(engine)
    cursor = ProjectCursor(engine, DEFAULT_PROJECT, None, ALL)
    late = ProjectCursor(engine, DEFAULT_PROJECT, 0, ALL)
    cursor.read()
    with changes.subscribe(DEFAULT_PROJECT, "k") as subscription:
        read(changes)
        subscription.take()
        ids = [create_job(engine).id for _ in range(5)]
        has_more = True
        while has_more:
            reading = changes.read(frozenset(changes.names), changes.seq)
            changes.publish_all(reading)
            has_more = reading.has_more
        updates = subscription.take()
        assert [len(item.messages or ()) for item in updates or []] == [2, 2, 1]
        text = text_of(cursor, updates)
    assert [text.count(job_id) for job_id in ids] == [1] * 5
    texts: list[bytes] = []
    while late.has_more:
        texts += late.read()
    assert [b"".join(texts).decode().count(job_id) for job_id in ids] == [1] * 5


def test_each_message_is_serialized_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    serialize = project_changes.event_message

    def count(row: ProjectEventRow) -> bytes:
        calls.append(row.id)
        return serialize(row)

    monkeypatch.setattr(project_changes, "event_message", count)
    changes = ProjectChanges(engine)
    with (
        changes.subscribe(DEFAULT_PROJECT, "k") as first,
        changes.subscribe(DEFAULT_PROJECT, "k") as second,
    ):
        read(changes)
        create_job(engine)
        read(changes)
        updates = first.take()
        assert updates == second.take()
        assert updates is not None
        assert updates[-1].messages_after(0, ALL) is updates[-1].messages_after(0, ALL)
    assert len(calls) == 1


def test_idle_streams_tell_how_far_they_are(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a client that gets no events of its types can still continue days later."""
    create_job(engine)
    cursor = ProjectCursor(engine, DEFAULT_PROJECT, None, frozenset({"model"}))
    cursor.read()
    with read_session(engine) as session:
        last_seq = project_events.state(session).last_seq
    assert cursor.keep_alive().decode() == f": still here\nid: {last_seq}\n\n"


def test_closing_ends_streams_that_begin_later(engine: Engine) -> None:
    streams = open_streams.OpenStreams(engine)
    with streams.projects.subscribe(DEFAULT_PROJECT, "k") as before:
        streams.close()
        assert before.ended
        assert streams.count == 1
    with streams.jobs.subscribe("job_1", "k") as after:
        assert after.ended
    assert streams.count == 0
