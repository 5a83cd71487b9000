"""J12: cancel, whatever the job is at."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from core.jobspec.status import TERMINAL
from core.store import events
from core.store.database.engine import read_session
from core.store.database.tables import ModelRow
from tests.faults.conftest import Figure
from tests.faults.deployment import PATIENCE_SECONDS, Api, Deployment, kill
from tests.measurements import SOAK
from tests.worker.results import latest_checkpoint_step, endless_job, short_job
from tests.worker.service import wait_for

RACES = 10 if SOAK else 2


def cancel(api: Api, job_id: str) -> int:
    """The status of the answer."""
    return int(api.http.post(f"/v1/jobs/{job_id}/cancel").status_code)


def ends(deployment: Deployment, job_id: str) -> list[str]:
    """Every last state the job has come to."""
    with read_session(deployment.engine) as session:
        return [
            event.data["to"]
            for event in events.list_of_type(session, job_id, "status")
            if event.data["to"] in TERMINAL
        ]


def students(deployment: Deployment, job_id: str) -> int:
    with read_session(deployment.engine) as session:
        return session.scalar(select(func.count()).where(ModelRow.source_job_id == job_id)) or 0


def test_j12_a_running_job_a_queued_one_and_one_whose_worker_is_gone_are_cancelled(
    deployment: Deployment, figure: Figure
) -> None:
    api, worker = deployment.api(), deployment.worker("first")
    running, orphan = deployment.submit(endless_job()), deployment.submit(endless_job())
    wait_for(
        lambda: latest_checkpoint_step(deployment.engine, running), PATIENCE_SECONDS, "a checkpoint"
    )
    waiting = deployment.submit(endless_job())
    assert cancel(api, waiting) == 202
    assert deployment.look(waiting).status == "cancelled"

    trainers = worker.trainers()
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda _: cancel(api, running), range(2))) == [200, 202]
    began = time.monotonic()
    wait_for(
        lambda: not any(trainer.is_running() for trainer in trainers),
        PATIENCE_SECONDS,
        "the trainer's end",
    )
    figure("until the trainer of a running job is gone, s", time.monotonic() - began, "at most 15")
    assert deployment.until_done(running).status == "cancelled"

    deployment.until_begun(orphan)
    kill(worker)
    assert cancel(api, orphan) == 202
    assert deployment.look(orphan).status == "cancelling", "nobody is there to see to it"
    second = deployment.worker("second")
    assert deployment.until_done(orphan).status == "cancelled"
    assert not second.trainers()
    assert deployment.look(orphan).attempt == 1
    for job_id in (running, orphan, waiting):
        assert cancel(api, job_id) == 200
        assert ends(deployment, job_id) == ["cancelled"]
        assert students(deployment, job_id) == 0
    assert deployment.look(waiting).attempt == 0


@pytest.mark.parametrize("deployment", ["embedded"], indirect=True)
def test_j12_a_cancel_that_races_with_the_end_leaves_one_last_state(
    deployment: Deployment, figure: Figure
) -> None:
    """Asked for at one moment after another of a job's last phase: done or cancelled, all of it or nothing."""
    api, found = deployment.api(), []
    deployment.worker()
    for number in range(RACES):
        job_id = deployment.submit(short_job(1))
        wait_for(
            lambda job_id=job_id: deployment.look(job_id).results, PATIENCE_SECONDS, "a result"
        )
        time.sleep(number * 0.5 / RACES)
        answer = cancel(api, job_id)
        job = deployment.until_done(job_id)
        assert ends(deployment, job_id) == [job.status]
        assert students(deployment, job_id) == (1 if job.status == "succeeded" else 0)
        assert job.status == "succeeded" or (job.status == "cancelled" and answer == 202)
        found.append(job.status)
    figure(
        "last states", ", ".join(f"{status} {found.count(status)}" for status in sorted(set(found)))
    )


@pytest.mark.gpu
@pytest.mark.parametrize("host_memory_bytes", [0, 2**35], ids=["unbounded", "bounded"])
def test_j12_a_cancelled_job_gives_the_memory_of_its_gpu_back(
    embedded: Deployment, host_memory_bytes: int, figure: Figure
) -> None:
    """A bound on the trainer's host memory must not keep CUDA from starting."""
    import torch

    api = embedded.api()
    before, _ = torch.cuda.mem_get_info()
    embedded.worker(DISTILL_DEVICE="cuda", DISTILL_TRAINER_MEMORY_BYTES=str(host_memory_bytes))
    job_id = embedded.submit(endless_job())
    wait_for(
        lambda: latest_checkpoint_step(embedded.engine, job_id), PATIENCE_SECONDS, "a checkpoint"
    )
    held = before - torch.cuda.mem_get_info()[0]
    assert held > 2**27, "a process on CUDA holds its context at least"
    assert cancel(api, job_id) == 202
    began = time.monotonic()
    wait_for(
        lambda: before - torch.cuda.mem_get_info()[0] < held // 8, PATIENCE_SECONDS, "the memory"
    )
    figure("until the GPU's memory is free again, s", time.monotonic() - began, "at most 15")
    figure("memory of the GPU held before, MiB", held // 2**20)
    assert embedded.until_done(job_id).status == "cancelled"
