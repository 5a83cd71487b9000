"""A Celery worker: ``celery --app worker.app worker --pool threads --concurrency 1``.

It uses threads because a supervisor only watches a child process: nothing is forked, and each slot
is one trainer. SIGTERM: release the jobs and exit. SIGUSR1: finish them, claim no more, and exit.
"""

import signal
import threading
from functools import partial
from typing import Any

from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from core import logs
from core.errors import WrongSchema
from core.queue import QUEUE, TASK, make_app
from core.settings import load_settings
from core.store.database.engine import make_engine, require_schema
from core.store.objects.store import Objects
from worker import reconciler, sandbox
from worker.supervisor import Supervisor

settings = load_settings()
logs.configure(settings)
app = make_app(settings.broker_url)
app.conf.broker_transport = "worker.wakeups:Transport"
shutdown = threading.Event()
engine = make_engine(settings.resolved_database_url)
supervisor = Supervisor(settings, engine, Objects.from_settings(settings), shutdown)


@app.task(name=TASK)  # type: ignore[untyped-decorator]
def run(job_id: str) -> None:
    """Run a job after a wake-up.

    It is not necessarily the job of the wake-up, but the oldest in the queue: one that was
    released is not to wait behind those submitted since.
    """
    supervisor.run()


@worker_init.connect  # type: ignore[untyped-decorator]
def _prepare(**_: Any) -> None:
    sandbox.make_undumpable()
    try:
        require_schema(engine)
    except WrongSchema as error:
        raise SystemExit(str(error)) from error


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start(sender: Any, **_: Any) -> None:
    """Start the worker's threads. ``sender``: the consumer of the queue.

    Celery would use SIGUSR1 to print the stacks of its threads.
    """
    signal.signal(signal.SIGUSR1, lambda *_: supervisor.registration.request_exit())
    supervisor.registration.on_change = partial(_on_blocked, sender)
    supervisor.registration.start(shutdown, supervisor.is_idle)
    reconciler.start(settings, supervisor)


def _on_blocked(consumer: Any, blocked_reason: str | None) -> None:
    """Leave wake-ups to other workers while this one claims nothing."""
    action = consumer.add_task_queue if blocked_reason is None else consumer.cancel_task_queue
    consumer.call_soon(action, QUEUE)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _release_jobs(**_: Any) -> None:
    shutdown.set()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _deregister(**_: Any) -> None:
    supervisor.registration.deregister()
