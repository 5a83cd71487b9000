"""J15: many jobs and workers, and every few seconds one of the workers is killed."""

import random
import time

from core.jobspec.status import TERMINAL
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import TIMEOUT_SECONDS, Deployment, kill_service
from tests.measurements import SOAK
from tests.worker.results import short_job

WORKERS = 8 if SOAK else 3
JOBS = 300 if SOAK else 8
KILL_INTERVAL_SECONDS = 20.0 if SOAK else 3.0
MAX_KILLS = 1000 if SOAK else 4
"""Few if scaled down: a slow machine would get nothing done between two kills."""
MAX_SECONDS = 3000 if SOAK else 2 * TIMEOUT_SECONDS


def test_j15_every_job_has_one_result_despite_random_kills(
    server_deployment: Deployment, record_figure: RecordFigure
) -> None:
    """Workers are killed again and again, at random."""
    deployment = server_deployment
    # The same job may be killed many times.
    deployment.environment["DISTILL_MAX_ATTEMPTS"] = "50"
    generator = random.Random(15)
    kills = 0
    started_at = time.monotonic()
    workers = [deployment.start_worker(f"worker-{number}") for number in range(WORKERS)]
    job_ids = [deployment.submit(short_job(1)) for _ in range(JOBS)]
    while not all(deployment.get_job(job_id).status in TERMINAL for job_id in job_ids):
        assert time.monotonic() - started_at < MAX_SECONDS
        time.sleep(KILL_INTERVAL_SECONDS)
        busy = [number for number in range(WORKERS) if workers[number].trainers()]
        if busy and kills < MAX_KILLS:
            number = generator.choice(busy)
            kill_service(workers[number])
            workers[number] = deployment.start_worker(f"worker-{number}")
            kills += 1
    for job_id in job_ids:
        deployment.assert_one_result(job_id)
    deployment.assert_no_partial_files()
    assert not any(worker.trainers() for worker in workers)
    attempts = [deployment.get_job(job_id).attempt for job_id in job_ids]
    assert sum(attempts) > JOBS, "no job was ever killed"
    record_figure("jobs", JOBS)
    record_figure("kills", kills)
    record_figure("attempts", sum(attempts))
    record_figure("until all have ended, s", time.monotonic() - started_at)
