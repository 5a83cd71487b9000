"""S13: anything may be in the broker. A worker takes only job ids from it, and drops all else."""

import base64
import json
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from sqlalchemy import Engine, func, select

from core.queue import QUEUE, TASK, wake_workers
from core.settings import Settings
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import JobRow, ModelRow
from tests.builders import training_spec
from tests.intruders.payload import Payload
from tests.measurements import RecordProperty
from tests.worker.service import Service, submit, wait_for, wait_for_end

CELERY = (
    "-m",
    "celery",
    "--app",
    "worker.app",
    "worker",
    "--pool",
    "threads",
    "--concurrency",
    "1",
    "--loglevel",
    "INFO",
)
"""The worker's command in docker-compose.yml, except for the log level."""
HOSTILE_TEXTS = [
    "$(touch CANARY)",
    "`touch CANARY`",
    "; touch CANARY #",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/x}",
    "%s%s%n",
    "'; --",
]


def envelope(
    content: bytes, extra_headers: dict[str, Any] | None = None, /, **changes: Any
) -> bytes:
    """Return a message as kombu puts it into Redis.

    ``extra_headers`` add to its headers, ``changes`` replace its parts.
    """
    message_id = str(uuid.uuid4())
    message = {
        "body": base64.b64encode(content).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": message_id, **(extra_headers or {})},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "delivery_mode": 2,
            "delivery_tag": message_id,
            "reply_to": "canary",
            "correlation_id": message_id,
        },
    }
    return json.dumps({**message, **changes}).encode()


def call(*arguments: Any, **headers: Any) -> bytes:
    """Return a message that calls the worker's task, or the task that the headers name."""
    return envelope(json.dumps([arguments, {}, {}]).encode(), headers)


def invalid_messages(pickled: bytes) -> Iterator[bytes]:
    """Yield what is not an envelope, and envelopes whose content or parts are not what they say."""
    yield b""
    yield b"\xff\xfe\x00garbage"
    yield b"[" * 200_000
    yield b"null"
    yield b"7"
    yield b'"text"'
    yield b"[1, 2, 3]"
    yield b"{}"
    yield pickled
    pickle_type = {
        "content-type": "application/x-python-serialize",
        "content-encoding": "binary",
    }
    yield envelope(pickled, **pickle_type)
    yield envelope(pickled)
    yield envelope(b"{{{")
    yield envelope(b"null")
    yield envelope(b'"text"')
    yield envelope(b"[[], {}, {}]", **{"content-type": "text/x-evil"})
    yield envelope(b"[[], {}, {}]", body="\u20ac")
    wrong_values: tuple[Any, ...] = (None, [1], 7, {})
    for part in ("headers", "properties", "body"):
        for value in wrong_values:
            yield envelope(b"[[], {}, {}]", **{part: value})


def invalid_calls(texts: list[str]) -> Iterator[bytes]:
    """Yield calls of other tasks, and calls of the worker's task with wrong arguments."""
    task_names: tuple[Any, ...] = (
        "os.system",
        "celery.backend_cleanup",
        "celery.chord",
        "worker.app.shutdown",
        None,
        7,
        {},
    )
    for name in task_names:
        yield call(task=name)
    wrong_arguments: tuple[list[Any], ...] = (
        [],
        [1],
        [None],
        [{"a": 1}],
        [["job_1"]],
        ["job_1", "job_2"],
        ["x" * 10**6],
        [""],
    )
    for arguments in wrong_arguments:
        yield call(*arguments)
    for text in texts:
        yield call(text)
    yield envelope(json.dumps([["job_1"], {"job_id": "job_1"}, {}]).encode())


def wake_ups_with_options(texts: list[str]) -> list[bytes]:
    """Return wake-ups for a job that does not exist, with options that a wake-up never has."""
    signature: dict[str, Any] = {
        "task": TASK,
        "args": texts,
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    follow_ups = {
        "callbacks": [signature],
        "errbacks": [signature],
        "chain": [signature],
        "chord": signature,
    }
    return [
        call("job_nobody", eta="9999-12-31T23:59:59+00:00", expires="1970-01-01T00:00:00+00:00"),
        call("job_nobody", eta="nonsense", timelimit=["a", {}], retries="many"),
        envelope(json.dumps([["job_nobody"], {}, follow_ups]).encode()),
    ]


@pytest.fixture
def settings(sqlite_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(tmp_path / "home"),
        "DISTILL_DATABASE_URL": sqlite_url,
        "DISTILL_BROKER_URL": redis_url,
    }


@pytest.fixture
def engine(settings: dict[str, str]) -> Iterator[Engine]:
    engine = make_engine(settings["DISTILL_DATABASE_URL"])
    yield engine
    engine.dispose()


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def worker(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    with Service(settings, tmp_path / "worker.log", CELERY) as service:
        wait_for(lambda: " ready." in service.log.read_text(), 60, "the worker")
        yield service


def test_s13_foreign_messages_are_dropped_and_the_next_job_runs(
    settings: dict[str, str],
    engine: Engine,
    broker: redis.Redis,
    worker: Service,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    """The worker stays alive, runs no payload, and receives no remote control commands."""
    canary = tmp_path / "canary"
    texts = [text.replace("CANARY", str(canary)) for text in HOSTILE_TEXTS]
    pickled = pickle.dumps(([Payload(canary)], {}, {}))
    messages_to_drop = [*invalid_messages(pickled), *invalid_calls(texts)]
    broker.lpush(QUEUE, *messages_to_drop, *wake_ups_with_options(texts))
    Celery(broker=settings["DISTILL_BROKER_URL"]).control.broadcast("shutdown")
    assert (broker.pubsub_channels(), broker.pubsub_numpat()) == ([], 0), (
        "a worker listens to more than its queue"
    )
    wait_for(lambda: broker.llen(QUEUE) == 0, 60, "the end of the foreign messages")
    spec = training_spec(name=texts[0], metadata={"text": HOSTILE_TEXTS[3]})
    job_id = submit(engine, spec)
    assert wake_workers(Settings(broker_url=settings["DISTILL_BROKER_URL"]), job_id)
    job = wait_for_end(engine, job_id)
    assert job.status == "succeeded", job.failure
    assert (job.attempt, job.spec["name"], job.spec["metadata"]) == (1, spec.name, spec.metadata)
    assert worker.process.poll() is None
    assert not canary.exists()
    assert broker.exists("canary") == 0
    with read_session(engine) as session:
        counts = [
            session.scalar(select(func.count()).select_from(table)) for table in (JobRow, ModelRow)
        ]
    assert counts == [1, 1]
    dropped = worker.log.read_text().count("dropped a message that is not a wake-up")
    record_property("messages_dropped", dropped)
    assert dropped == len(messages_to_drop)
