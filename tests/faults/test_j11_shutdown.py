"""J11: SIGTERM while training, and SIGKILL would come after 30 s."""

import signal
import time

from core.store import artifacts
from core.store.database.engine import reading
from tests.faults.conftest import Figure
from tests.faults.deployment import PATIENCE_SECONDS, Deployment
from tests.worker.results import checkpointed, endless, resumed_at
from tests.worker.service import until

BEFORE_SIGKILL_SECONDS = 30


def test_j11_a_worker_told_to_end_gives_its_job_back_and_the_next_goes_on_at_that_step(
    deployment: Deployment, figure: Figure
) -> None:
    job_id = deployment.submit(endless())
    worker = deployment.worker("first")
    until(lambda: checkpointed(deployment.engine, job_id), PATIENCE_SECONDS, "a checkpoint")
    trainers = worker.trainers()
    worker.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert worker.wait(PATIENCE_SECONDS) == 0
    figure(
        "from SIGTERM to exit 0, s", time.monotonic() - began, f"at most {BEFORE_SIGKILL_SECONDS}"
    )
    assert not any(trainer.is_running() for trainer in trainers)
    job, step = deployment.look(job_id), checkpointed(deployment.engine, job_id)
    assert (job.status, job.attempt, job.infrastructure_failures) == ("queued", 1, 0)
    with reading(deployment.engine) as session:
        assert artifacts.checkpoints(session, job_id)[0].attempt == 1
    deployment.worker("second")
    assert until(
        lambda: resumed_at(deployment.engine, job_id), PATIENCE_SECONDS, "the next attempt"
    ) == [step]
