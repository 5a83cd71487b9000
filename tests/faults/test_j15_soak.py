"""J15: many jobs and workers, and every few seconds one of the workers is killed."""

import random
import time

from core.jobspec.status import TERMINAL
from tests.faults.conftest import Figure
from tests.faults.deployment import PATIENCE_SECONDS, Deployment, kill
from tests.measurements import SOAK
from tests.worker.results import short_job

WORKERS, JOBS, KILL_EVERY_SECONDS, MOST_KILLS = (8, 300, 20.0, 1000) if SOAK else (3, 8, 3.0, 4)
"""Scaled down it is killed a few times only: a slow machine would get nothing done between two kills."""
LONGEST_SECONDS = 3000 if SOAK else 2 * PATIENCE_SECONDS


def test_j15_every_job_has_exactly_one_result_though_workers_are_killed_again_and_again(
    served: Deployment, figure: Figure
) -> None:
    # What is killed again and again may be the same job.
    served.settings["DISTILL_MAX_ATTEMPTS"] = "50"
    chance, kills, began = random.Random(15), 0, time.monotonic()
    workers = [served.worker(f"worker-{number}") for number in range(WORKERS)]
    made = [served.submit(short_job(1)) for _ in range(JOBS)]
    while not all(served.look(job_id).status in TERMINAL for job_id in made):
        assert time.monotonic() - began < LONGEST_SECONDS
        time.sleep(KILL_EVERY_SECONDS)
        busy = [number for number in range(WORKERS) if workers[number].trainers()]
        if busy and kills < MOST_KILLS:
            number = chance.choice(busy)
            kill(workers[number])
            workers[number] = served.worker(f"worker-{number}")
            kills += 1
    for job_id in made:
        served.assert_one_result(job_id)
    served.assert_no_partial_files()
    assert not any(worker.trainers() for worker in workers)
    attempts = [served.look(job_id).attempt for job_id in made]
    assert sum(attempts) > JOBS, "no job was ever killed"
    figure("jobs", JOBS)
    figure("kills", kills)
    figure("attempts", sum(attempts))
    figure("all done after, s", time.monotonic() - began)
