"""The Celery worker: ``celery --app worker.app worker --pool threads --concurrency 1``.

Threads, because a supervisor only watches a child process: nothing is forked, and one slot is one trainer.
"""

import threading
from typing import Any

from celery.signals import worker_init, worker_ready, worker_shutting_down

from core import logs
from core.queue import TASK, make_app
from core.settings import settings
from core.store.engine import make_engine
from core.store.objects import Objects
from worker import confined, sweeper
from worker.supervisor import Supervisor

setup = settings()
logs.configure(setup)
app = make_app(setup.broker_url)
app.conf.broker_transport = "worker.hints:Transport"
shutdown = threading.Event()
engine = make_engine(setup.resolved_database_url)
supervisor = Supervisor(setup, engine, Objects.from_settings(setup), shutdown)


@app.task(name=TASK)  # type: ignore[untyped-decorator]
def run(job_id: str) -> None:
    """One attempt at the job, if it is still there to be claimed."""
    supervisor.run(job_id)


@worker_init.connect  # type: ignore[untyped-decorator]
def _keep_to_itself(**_: Any) -> None:
    confined.keep_to_itself()


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start_sweeper(**_: Any) -> None:
    sweeper.start(setup, supervisor)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _give_back(**_: Any) -> None:
    shutdown.set()
