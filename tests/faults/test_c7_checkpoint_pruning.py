"""C7: a worker is killed between storing a checkpoint, recording it and deleting an older one."""

import threading
from collections.abc import Callable
from functools import partial

from tests.builders import stored_keys
from tests.faults.conftest import RecordFigure
from tests.faults.s3_proxy import Fault, forward_all
from tests.faults.storage import Storage
from tests.measurements import SOAK
from tests.worker.results import short_job
from tests.worker.service import Service, submit, wait_for, wait_for_end

KEEP_CHECKPOINTS = 2
ROUNDS = 5 if SOAK else 1
RequestFilter = Callable[[str, str], bool]


def is_checkpoint_put(method: str, path: str) -> bool:
    return method == "PUT" and "/checkpoints/" in path


def is_delete(method: str, path: str) -> bool:
    """Whether it deletes objects: S3 takes a list, here of one."""
    return method == "POST" and path.endswith("?delete")


KILL_POINTS = {
    "before a row references it": is_checkpoint_put,
    "after the commit, before the old one is deleted": is_delete,
}


class KillAtRequest:
    """A proxy rule that kills the worker at the first matching request once ``is_ready``.

    What the worker was about to store is stored all the same; what it was about to delete is not
    deleted.
    """

    def __init__(
        self, is_match: RequestFilter, worker: Service, is_ready: Callable[[], bool]
    ) -> None:
        self.is_match = is_match
        self.worker = worker
        self.is_ready = is_ready
        self.killed = threading.Event()

    def __call__(self, method: str, path: str) -> Fault:
        if self.killed.is_set():
            return "reset"
        if not self.is_match(method, path) or not self.is_ready():
            return None
        self.killed.set()
        self.worker.kill()
        return None if self.is_match is is_checkpoint_put else "reset"


def has_advanced(storage: Storage, job_id: str, step: int) -> bool:
    """Whether as many checkpoints as are kept are stored, one of them beyond ``step``."""
    is_full = len(storage.list_checkpoints(job_id)) == KEEP_CHECKPOINTS
    return is_full and storage.latest_step(job_id) > step


def test_c7_the_last_checkpoints_survive_every_kill(
    s3_storage: Storage, record_figure: RecordFigure
) -> None:
    """Exactly as many checkpoints as are kept have a row, wherever a worker is killed."""
    storage = s3_storage
    assert storage.proxy is not None
    job_id = submit(storage.engine, short_job(10 * ROUNDS))
    kill_points = list(KILL_POINTS.items()) * ROUNDS
    for number, (name, is_match) in enumerate(kill_points):
        step = storage.latest_step(job_id)
        with storage.start_worker(str(number)) as worker:
            rule = KillAtRequest(is_match, worker, partial(has_advanced, storage, job_id, step))
            storage.proxy.rule = rule
            wait_for(rule.killed.is_set, 90, f"a kill {name}")
            worker.wait(20)
        assert len(storage.verify_checkpoints(job_id)) == KEEP_CHECKPOINTS
        assert storage.latest_step(job_id) > step
    storage.proxy.rule = forward_all
    with storage.start_worker("last"):
        job = wait_for_end(storage.engine, job_id)
    assert (job.status, job.attempt) == ("succeeded", 1 + len(kill_points))
    assert len(storage.verify_checkpoints(job_id)) == KEEP_CHECKPOINTS
    referenced = {row.object_key for row in storage.list_checkpoints(job_id)}
    keys = stored_keys(storage.objects, f"jobs/{job_id}")
    stored = {key for key in keys if "/checkpoints/" in key}
    assert referenced <= stored
    record_figure(
        "checkpoints with a row after every kill", KEEP_CHECKPOINTS, f"exactly {KEEP_CHECKPOINTS}"
    )
    record_figure("objects that remain for the collector", len(stored - referenced))
