"""J12: a job is cancelled at any moment."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from core.jobspec.status import TERMINAL
from core.store import events
from core.store.database.engine import read_session
from core.store.database.tables import ModelRow
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import TIMEOUT_SECONDS, Api, Deployment, kill_service
from tests.measurements import SOAK
from tests.worker.results import endless_job, short_job
from tests.worker.service import wait_for

RACES = 10 if SOAK else 2


def cancel(api: Api, job_id: str) -> int:
    """Return the status code of the response."""
    return int(api.http.post(f"/v1/jobs/{job_id}/cancel").status_code)


def terminal_statuses(deployment: Deployment, job_id: str) -> list[str]:
    """Return every terminal status that the job has entered."""
    with read_session(deployment.engine) as session:
        return [
            event.data["to"]
            for event in events.list_of_type(session, job_id, "status")
            if event.data["to"] in TERMINAL
        ]


def count_students(deployment: Deployment, job_id: str) -> int:
    with read_session(deployment.engine) as session:
        return session.scalar(select(func.count()).where(ModelRow.source_job_id == job_id)) or 0


def wait_for_result(deployment: Deployment, job_id: str) -> None:
    wait_for(lambda: deployment.get_job(job_id).results, TIMEOUT_SECONDS, "a result")


def test_j12_running_queued_and_orphaned_jobs_are_cancelled(
    deployment: Deployment, record_figure: RecordFigure
) -> None:
    """A running job, one that waits, and one whose worker was killed."""
    api = deployment.start_api()
    worker = deployment.start_worker("first")
    running_id = deployment.submit(endless_job())
    orphan_id = deployment.submit(endless_job())
    deployment.wait_for_checkpoint(running_id)
    queued_id = deployment.submit(endless_job())
    assert cancel(api, queued_id) == 202
    assert deployment.get_job(queued_id).status == "cancelled"

    trainers = worker.trainers()
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda _: cancel(api, running_id), range(2))) == [200, 202]
    cancelled_at = time.monotonic()
    wait_for(
        lambda: not any(trainer.is_running() for trainer in trainers),
        TIMEOUT_SECONDS,
        "the end of the trainer",
    )
    seconds = time.monotonic() - cancelled_at
    record_figure("until the trainer of a running job has ended, s", seconds, "at most 15")
    assert deployment.wait_for_end(running_id).status == "cancelled"

    deployment.wait_for_start(orphan_id)
    kill_service(worker)
    assert cancel(api, orphan_id) == 202
    assert deployment.get_job(orphan_id).status == "cancelling", "no worker can have cancelled it"
    second_worker = deployment.start_worker("second")
    assert deployment.wait_for_end(orphan_id).status == "cancelled"
    assert not second_worker.trainers()
    assert deployment.get_job(orphan_id).attempt == 1
    for job_id in (running_id, orphan_id, queued_id):
        assert_stays_cancelled(deployment, api, job_id)
    assert deployment.get_job(queued_id).attempt == 0


def assert_stays_cancelled(deployment: Deployment, api: Api, job_id: str) -> None:
    assert cancel(api, job_id) == 200
    assert terminal_statuses(deployment, job_id) == ["cancelled"]
    assert count_students(deployment, job_id) == 0


@pytest.mark.parametrize("deployment", ["embedded"], indirect=True)
def test_j12_cancellation_at_the_end_leaves_one_terminal_status(
    deployment: Deployment, record_figure: RecordFigure
) -> None:
    """Requested at several moments of a job's last phase: it has succeeded completely, or not."""
    api = deployment.start_api()
    statuses: Counter[str] = Counter()
    deployment.start_worker()
    for number in range(RACES):
        job_id = deployment.submit(short_job(1))
        wait_for_result(deployment, job_id)
        time.sleep(number * 0.5 / RACES)
        status_code = cancel(api, job_id)
        job = deployment.wait_for_end(job_id)
        assert terminal_statuses(deployment, job_id) == [job.status]
        assert count_students(deployment, job_id) == (1 if job.status == "succeeded" else 0)
        assert job.status == "succeeded" or (job.status == "cancelled" and status_code == 202)
        statuses[job.status] += 1
    record_figure(
        "terminal statuses",
        ", ".join(f"{status} {count}" for status, count in sorted(statuses.items())),
    )


@pytest.mark.gpu
@pytest.mark.parametrize("host_memory_bytes", [0, 2**35], ids=["unbounded", "bounded"])
def test_j12_cancelled_job_frees_the_memory_of_its_gpu(
    embedded_deployment: Deployment, host_memory_bytes: int, record_figure: RecordFigure
) -> None:
    """A limit of the trainer's host memory must not keep CUDA from starting."""
    import torch

    deployment = embedded_deployment
    api = deployment.start_api()
    free_before, _ = torch.cuda.mem_get_info()
    deployment.start_worker(
        DISTILL_DEVICE="cuda", DISTILL_TRAINER_MEMORY_BYTES=str(host_memory_bytes)
    )
    job_id = deployment.submit(endless_job())
    deployment.wait_for_checkpoint(job_id)
    used_bytes = free_before - torch.cuda.mem_get_info()[0]
    assert used_bytes > 2**27, "a process on CUDA uses at least the memory of its context"
    assert cancel(api, job_id) == 202
    cancelled_at = time.monotonic()
    wait_for(
        lambda: free_before - torch.cuda.mem_get_info()[0] < used_bytes // 8,
        TIMEOUT_SECONDS,
        "the memory",
    )
    seconds = time.monotonic() - cancelled_at
    record_figure("until the GPU's memory is free, s", seconds, "at most 15")
    record_figure("GPU memory in use before, MiB", used_bytes // 2**20)
    assert deployment.wait_for_end(job_id).status == "cancelled"
