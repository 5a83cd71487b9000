"""S13: whoever reaches the broker can put anything there; a worker takes a job's id from it, or drops it, and lives on."""

import base64
import json
import os
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
"""As docker-compose.yml starts it, but for what it logs."""
HOSTILE_TEXTS = [
    "$(touch CANARY)",
    "`touch CANARY`",
    "; touch CANARY #",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/x}",
    "%s%s%n",
    "'; --",
]


class Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"echo ran >> {self.canary}",)


def envelope(content: bytes, more_headers: Any = None, /, **changes: Any) -> bytes:
    """A message as kombu puts it into Redis; ``changes`` replace its parts, and ``more_headers`` add to them."""
    tag = str(uuid.uuid4())
    message = {
        "body": base64.b64encode(content).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": tag, **(more_headers or {})},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "delivery_mode": 2,
            "delivery_tag": tag,
            "reply_to": "canary",
            "correlation_id": tag,
        },
    }
    return json.dumps({**message, **changes}).encode()


def call(*arguments: Any, **headers: Any) -> bytes:
    return envelope(json.dumps([arguments, {}, {}]).encode(), headers)


def foreign_messages(canary: Path) -> list[bytes]:
    pickled = pickle.dumps(([Payload(canary)], {}, {}))
    texts = [text.replace("CANARY", str(canary)) for text in HOSTILE_TEXTS]
    then = {
        "task": TASK,
        "args": texts,
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    return [
        # no message at all
        b"",
        b"\xff\xfe\x00garbage",
        b"[" * 200_000,
        b"null",
        b"7",
        b'"text"',
        b"[1, 2, 3]",
        b"{}",
        pickled,
        # pickles, and other things that JSON is not
        envelope(
            pickled,
            **{"content-type": "application/x-python-serialize", "content-encoding": "binary"},
        ),
        envelope(pickled),
        envelope(b"{{{"),
        envelope(b"null"),
        envelope(b'"text"'),
        envelope(b"[[], {}, {}]", **{"content-type": "text/x-evil"}),
        envelope(b"[[], {}, {}]", body="\u20ac"),
        # parts that are not what they should be
        *(
            envelope(b"[[], {}, {}]", **{part: wrong})
            for part in ("headers", "properties", "body")
            for wrong in (None, [1], 7, {})
        ),
        # other tasks
        *(
            call(task=name)
            for name in (
                "os.system",
                "celery.backend_cleanup",
                "celery.chord",
                "worker.app.shutdown",
                None,
                7,
                {},
            )
        ),
        # our task, with other arguments
        *(
            call(*arguments)
            for arguments in (
                [],
                [1],
                [None],
                [{"a": 1}],
                [["job_1"]],
                ["job_1", "job_2"],
                ["x" * 10**6],
                [""],
            )
        ),
        *(call(text) for text in texts),
        envelope(json.dumps([["job_1"], {"job_id": "job_1"}, {}]).encode()),
        # hints at jobs that are not there, with more than a hint has
        call("job_nobody", eta="9999-12-31T23:59:59+00:00", expires="1970-01-01T00:00:00+00:00"),
        call("job_nobody", eta="nonsense", timelimit=["a", {}], retries="many"),
        envelope(
            json.dumps(
                [
                    ["job_nobody"],
                    {},
                    {"callbacks": [then], "errbacks": [then], "chain": [then], "chord": then},
                ]
            ).encode()
        ),
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
    canary = tmp_path / "canary"
    messages = foreign_messages(canary)
    broker.lpush(QUEUE, *messages)
    Celery(broker=settings["DISTILL_BROKER_URL"]).control.broadcast("shutdown")
    assert (broker.pubsub_channels(), broker.pubsub_numpat()) == ([], 0), (
        "a worker listens to more than its queue"
    )
    wait_for(lambda: broker.llen(QUEUE) == 0, 60, "the end of the foreign messages")
    spec = training_spec(
        name=HOSTILE_TEXTS[0].replace("CANARY", str(canary)), metadata={"text": HOSTILE_TEXTS[3]}
    )
    job_id = submit(engine, spec)
    assert wake_workers(Settings(broker_url=settings["DISTILL_BROKER_URL"]), job_id)
    job = wait_for_end(engine, job_id)
    assert job.status == "succeeded", job.failure
    assert (job.attempt, job.spec["name"], job.spec["metadata"]) == (1, spec.name, spec.metadata)
    assert worker.process.poll() is None
    assert not canary.exists()
    assert broker.exists("canary") == 0
    with read_session(engine) as session:
        jobs, models = (
            session.scalar(select(func.count()).select_from(table)) for table in (JobRow, ModelRow)
        )
    assert (jobs, models) == (1, 1)
    dropped = worker.log.read_text().count("dropped a message that is not a wake-up")
    record_property("messages_dropped", dropped)
    assert dropped == len(messages) - 3
