"""The Celery worker: ``celery --app worker.app worker --pool threads --concurrency 1``.

Threads, because a supervisor only watches a child process: nothing is forked, and one slot is one trainer.
SIGTERM: give the jobs back and end. SIGUSR1: finish them, claim no more, and end.
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

setup = load_settings()
logs.configure(setup)
app = make_app(setup.broker_url)
app.conf.broker_transport = "worker.wakeups:Transport"
shutdown = threading.Event()
engine = make_engine(setup.resolved_database_url)
supervisor = Supervisor(setup, engine, Objects.from_settings(setup), shutdown)


@app.task(name=TASK)  # type: ignore[untyped-decorator]
def run(job_id: str) -> None:
    """A job waits. Which one is claimed is the table's matter: the oldest, so that one that was given back does not wait
    behind whatever was submitted since.
    """
    supervisor.run()


@worker_init.connect  # type: ignore[untyped-decorator]
def _prepare(**_: Any) -> None:
    sandbox.disable_core_inspection()
    try:
        require_schema(engine)
    except WrongSchema as error:
        raise SystemExit(str(error)) from error


@worker_ready.connect  # type: ignore[untyped-decorator]
def _begin(sender: Any, **_: Any) -> None:
    """``sender`` is the consumer of the queue. SIGUSR1 is taken from Celery, which would only print its threads' stacks."""
    signal.signal(signal.SIGUSR1, lambda *_: supervisor.registration.leave())
    supervisor.registration.on_change = partial(_listen, sender)
    supervisor.registration.start(shutdown, supervisor.at_rest)
    reconciler.start(setup, supervisor)


def _listen(consumer: Any, closed: str | None) -> None:
    """Hints are left to the other workers as long as this one claims nothing."""
    consumer.call_soon(
        consumer.add_task_queue if closed is None else consumer.cancel_task_queue, QUEUE
    )


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _give_back(**_: Any) -> None:
    shutdown.set()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _end(**_: Any) -> None:
    supervisor.registration.end()
