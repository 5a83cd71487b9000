"""J11: SIGTERM while training, and SIGKILL would come after 30 s."""

import signal
import time

from core.store import artifacts
from core.store.database.engine import read_session
from tests.faults.conftest import Figure
from tests.faults.deployment import PATIENCE_SECONDS, Deployment
from tests.worker.results import latest_checkpoint_step, endless_job, resume_steps
from tests.worker.service import wait_for

BEFORE_SIGKILL_SECONDS = 30


def test_j11_a_worker_told_to_end_gives_its_job_back_and_the_next_goes_on_at_that_step(
    deployment: Deployment, figure: Figure
) -> None:
    job_id = deployment.submit(endless_job())
    worker = deployment.worker("first")
    wait_for(
        lambda: latest_checkpoint_step(deployment.engine, job_id), PATIENCE_SECONDS, "a checkpoint"
    )
    trainers = worker.trainers()
    worker.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert worker.wait(PATIENCE_SECONDS) == 0
    figure(
        "from SIGTERM to exit 0, s", time.monotonic() - began, f"at most {BEFORE_SIGKILL_SECONDS}"
    )
    assert not any(trainer.is_running() for trainer in trainers)
    job, step = deployment.look(job_id), latest_checkpoint_step(deployment.engine, job_id)
    assert (job.status, job.attempt, job.infrastructure_failures) == ("queued", 1, 0)
    with read_session(deployment.engine) as session:
        assert artifacts.list_checkpoints(session, job_id)[0].attempt == 1
    deployment.worker("second")
    assert wait_for(
        lambda: resume_steps(deployment.engine, job_id), PATIENCE_SECONDS, "the next attempt"
    ) == [step]
