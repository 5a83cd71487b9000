"""The transport by which a worker takes wake-ups from the broker."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import redis
from kombu.connection import Connection
from kombu.entity import Queue

from core.queue import QUEUE, TASK, make_app
from core.store.database.ids import new_id
from tests.faults.deployment import start_redis
from tests.worker.service import wait_for

SECONDS = 60.0
Answer = Callable[[Any], None]


@pytest.mark.parametrize(
    "answer",
    [
        lambda message: message.ack(),
        lambda message: message.reject(),
        lambda message: message.requeue(),
    ],
    ids=["ack", "reject", "requeue"],
)
def test_wakeup_whose_answer_is_lost_takes_no_place(answer: Answer) -> None:
    """A worker that takes one at a time gets the next one after an outage of the broker."""
    with ExitStack() as stack:
        server = start_redis(stack)
        app = make_app(server.url)
        for _ in range(2):
            app.send_task(TASK, args=[new_id("job")], retry=False, ignore_result=True)
        connection = Connection(  # type: ignore[no-untyped-call]
            server.url,
            transport="worker.wakeups:Transport",
            transport_options=app.conf.broker_transport_options,
        )
        stack.enter_context(connection)
        received: list[Any] = []
        consumer = connection.Consumer(  # type: ignore[no-untyped-call]
            [Queue(QUEUE)],  # type: ignore[no-untyped-call]
            callbacks=[lambda _, message: received.append(message)],
        )
        consumer.qos(prefetch_count=1)
        consumer.consume()
        wait_for(lambda: drain(connection, received), SECONDS, "the first wake-up")
        server.freeze()
        with pytest.raises(redis.exceptions.TimeoutError):
            answer(received[0])
        server.thaw()
        received.clear()
        wait_for(lambda: drain(connection, received), SECONDS, "the second wake-up")


def drain(connection: Any, received: list[Any]) -> list[Any]:
    """Take what the broker has; after an outage the first attempts may fail."""
    with suppress(TimeoutError, redis.exceptions.RedisError):
        connection.drain_events(timeout=0.5)
    return received
