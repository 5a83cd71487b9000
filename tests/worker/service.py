"""A worker as a process of its own, on any database and object store, so that tests can kill it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import TrainingSpec
from core.jobspec.status import TERMINAL
from core.store import jobs
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow

QUICK = {
    "DISTILL_HEARTBEAT_SECONDS": "0.5",
    "DISTILL_LEASE_SECONDS": "3",
    "DISTILL_RECONCILE_SECONDS": "0.5",
    "DISTILL_POLL_SECONDS": "0.2",
    "DISTILL_BACKOFF_SECONDS": "0.2",
    "DISTILL_GRACE_SECONDS": "10",
    "DISTILL_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


def environment(settings: dict[str, str]) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("DISTILL_")
    }
    return {**inherited, **QUICK, **settings}


class Service:
    """A process of the service, in a process group of its own; its output goes to a file."""

    def __init__(
        self,
        settings: dict[str, str],
        log: Path,
        command: tuple[str, ...] = ("-m", "worker.polling"),
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=environment(settings),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def trainers(self) -> list[psutil.Process]:
        """Return the trainer processes of this worker."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if "core.distillation" in child.cmdline()]
        return []

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait(self, seconds: float) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        self.process.wait(10)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        for trainer in self.trainers():
            with suppress(psutil.NoSuchProcess):
                trainer.kill()
        self.kill()


def submit(engine: Engine, spec: TrainingSpec) -> str:
    with write_session(engine) as session:
        return jobs.submit(session, DEFAULT_PROJECT, resolve(spec, DIGITS), dataset_id=DIGITS_ID).id


def get_job(engine: Engine, job_id: str) -> JobRow:
    with read_session(engine) as session:
        return jobs.get(session, DEFAULT_PROJECT, job_id)


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll ``condition`` until it returns something true, and return that.

    Be generous with ``seconds``: no test is to depend on the speed of the machine.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return value


def wait_for_end(engine: Engine, job_id: str, seconds: float = 120) -> JobRow:
    """Return the job as soon as it has ended."""
    job: JobRow = wait_for(
        lambda: (row := get_job(engine, job_id)).status in TERMINAL and row,
        seconds,
        f"the end of {job_id}",
    )
    return job
