"""J1: worker and trainer are killed at a random step."""

import random
import time
from itertools import count, islice

import pytest

from core.store import events
from core.store.database.engine import read_session
from tests.faults.conftest import Figure
from tests.faults.deployment import LEASE_SECONDS, PATIENCE_SECONDS, Deployment, kill
from tests.measurements import SOAK
from tests.worker.results import latest_checkpoint_step, resume_steps, short_job
from tests.worker.service import wait_for

AT_ONCE, ROUNDS, EPOCHS = (4, 5, 150) if SOAK else (3, 1, 40)


def began_at(deployment: Deployment, job_id: str) -> list[float]:
    """When each attempt began, in seconds since the epoch."""
    with read_session(deployment.engine) as session:
        said = events.list_of_type(session, job_id, "status")
    return [event.at / 1000 for event in said if event.data["to"] == "running"]


@pytest.mark.parametrize(
    ("deployment", "at_once"), [("served", AT_ONCE), ("embedded", 1)], indirect=["deployment"]
)
def test_j1_a_job_whose_worker_and_trainer_are_killed_goes_on_and_has_one_result(
    deployment: Deployment, at_once: int, figure: Figure
) -> None:
    chance, waits, lost, names = random.Random(1), [], [], map("worker-{}".format, count())
    workers = {name: deployment.worker(name) for name in islice(names, at_once)}
    for _ in range(ROUNDS):
        made = [deployment.submit(short_job(EPOCHS)) for _ in range(at_once)]
        killed = {}
        for job_id in chance.sample(made, at_once):
            wait_for(
                lambda job_id=job_id: latest_checkpoint_step(deployment.engine, job_id),
                PATIENCE_SECONDS,
                "a checkpoint",
            )
            time.sleep(chance.uniform(0, 0.5))
            job = deployment.look(job_id)
            saved = latest_checkpoint_step(deployment.engine, job_id)
            kill(workers.pop(job.worker or ""))
            killed[job_id] = time.time(), saved, (job.progress or {}).get("step", saved)
            name = next(names)
            workers[name] = deployment.worker(name)
        for job_id, (at, saved, seen) in killed.items():
            assert deployment.until_done(job_id).attempt == 2
            deployment.assert_one_result(job_id)
            assert resume_steps(deployment.engine, job_id)[0] >= saved > 0
            lost.append(seen - resume_steps(deployment.engine, job_id)[0])
            waits.append(began_at(deployment, job_id)[1] - at)
        for worker in deployment.processes:
            wait_for(lambda worker=worker: not worker.trainers(), 20, "the trainers' end")
    deployment.assert_no_partial_files()
    figure("kills", len(waits))
    figure("longest wait until it runs again, s", max(waits), f"at most {2 * LEASE_SECONDS:.0f}")
    figure("most steps seen and lost (an epoch has 4)", max(lost), "one checkpoint interval")
