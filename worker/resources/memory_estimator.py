"""Answers the API's questions for the memory of jobs, in a process of its own with few rights.

It takes some seconds of one core, which also a worker has that runs a job.
"""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine

from core.jobspec.cost.memory import MemoryRequest
from core.periodic import PeriodicThread
from core.settings import Settings
from core.store.database.engine import read_session
from core.store.database.tables import MemoryEstimateRow
from core.store.estimates import memory_estimates
from worker.registration import Registration
from worker.trainer_process import trainer_environment

POLL_SECONDS = 1.0
TIME_LIMIT_SECONDS = 120.0
LEASE_SECONDS = TIME_LIMIT_SECONDS + 30
"""After which another worker tries."""
NICENESS = 10
ADDRESS_BYTES = 8 * 2**30
"""Of the process: torch itself; fake tensors take nothing."""
log = structlog.get_logger()


class EstimatorAnswer(BaseModel):
    """What the process prints."""

    bytes: int
    parts: dict[str, int]


class MemoryEstimator:
    """Answers one request at a time."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        registration: Registration,
        shutdown: threading.Event,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.registration = registration
        self.shutdown = shutdown

    def run(self) -> bool:
        """Answer the request that has waited longest; return False where none waits."""
        if self.registration.blocked_reason is not None:
            return False
        with read_session(self.engine) as session:
            if not memory_estimates.has_pending(session):
                return False
        row = memory_estimates.claim(self.engine, LEASE_SECONDS)
        if row is None:
            return False
        self._answer(row)
        return True

    def _answer(self, row: MemoryEstimateRow) -> None:
        try:
            request = MemoryRequest.model_validate(row.request)
        except ValidationError:
            # Of another release. Its workers may answer: the lease runs out, and they try.
            log.warning("a request for an estimate cannot be read", key=row.key)
            return
        result = self._estimate(request)
        if result is None:
            return
        try:
            answer = EstimatorAnswer.model_validate_json(result.stdout)
        except ValidationError:
            error = result.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
            log.warning("the memory of a job could not be estimated", key=row.key, error=error[0])
            problem = "The memory of jobs with these settings cannot be worked out."
            memory_estimates.record_failure(self.engine, row.key, problem)
        else:
            memory_estimates.record(self.engine, row.key, answer.bytes, answer.parts)

    def _estimate(self, request: MemoryRequest) -> "subprocess.CompletedProcess[bytes] | None":
        """Return what the process printed; None where it took too long, or the worker ends."""
        folder = self.settings.resolved_scratch_folder / "estimates"
        folder.mkdir(parents=True, exist_ok=True)
        python = (sys.executable, "-P", "-m")
        limits = (f"--limit=DATA={ADDRESS_BYTES}", "--limit=CORE=0", "--offline")
        environment = trainer_environment(folder, self.settings, request.spec)
        process = subprocess.Popen(
            [*python, "worker.sandbox", *limits, *python, "core.distillation.memory_estimate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**environment, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            cwd=folder,
        )
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        try:
            return self._communicate(process, request.model_dump_json().encode())
        finally:
            process.kill()
            process.wait()

    def _communicate(
        self, process: "subprocess.Popen[bytes]", data: bytes | None
    ) -> "subprocess.CompletedProcess[bytes] | None":
        deadline = time.monotonic() + TIME_LIMIT_SECONDS
        while time.monotonic() < deadline and not self.shutdown.is_set():
            try:
                output, errors = process.communicate(data, timeout=0.5)
            except subprocess.TimeoutExpired:
                data = None  # it has been taken over by the first call
            else:
                return subprocess.CompletedProcess([], process.returncode, output, errors)
        return None


def start(
    settings: Settings, engine: Engine, registration: Registration, shutdown: threading.Event
) -> None:
    PeriodicThread(
        "memory-estimator",
        MemoryEstimator(settings, engine, registration, shutdown).run,
        POLL_SECONDS,
        shutdown,
        failure="estimating a job's memory failed; trying again",
    ).start()
