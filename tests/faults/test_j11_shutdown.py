"""J11: a worker receives SIGTERM while it trains, as 30 s before a SIGKILL."""

import signal
import time

from core.store import artifacts
from core.store.database.engine import read_session
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import TIMEOUT_SECONDS, Deployment
from tests.worker.results import endless_job, latest_checkpoint_step, resume_steps
from tests.worker.service import wait_for

SECONDS_BEFORE_SIGKILL = 30


def test_j11_terminated_worker_releases_its_job(
    deployment: Deployment, record_figure: RecordFigure
) -> None:
    """It saves a checkpoint, and the next attempt resumes at that step."""
    job_id = deployment.submit(endless_job())
    worker = deployment.start_worker("first")
    deployment.wait_for_checkpoint(job_id)
    trainers = worker.trainers()
    worker.process.send_signal(signal.SIGTERM)
    sent_at = time.monotonic()
    assert worker.wait(TIMEOUT_SECONDS) == 0
    seconds = time.monotonic() - sent_at
    record_figure("from SIGTERM to exit 0, s", seconds, f"at most {SECONDS_BEFORE_SIGKILL}")
    assert not any(trainer.is_running() for trainer in trainers)
    job = deployment.get_job(job_id)
    step = latest_checkpoint_step(deployment.engine, job_id)
    assert (job.status, job.attempt, job.infrastructure_failures) == ("queued", 1, 0)
    with read_session(deployment.engine) as session:
        assert artifacts.list_checkpoints(session, job_id)[0].attempt == 1
    deployment.start_worker("second")
    resumed_steps = wait_for(
        lambda: resume_steps(deployment.engine, job_id), TIMEOUT_SECONDS, "the next attempt"
    )
    assert resumed_steps == [step]
