"""C7: a worker is killed between storing a checkpoint, naming it in a row, and deleting the one that is kept no longer."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import stored_keys, training_spec
from tests.faults.places import Place, on_s3
from tests.faults.store_proxy import Fate
from tests.measurements import SOAK, RecordProperty, record_figure
from tests.servers import S3
from tests.worker.service import Service, submit, wait_for, wait_for_end

KEPT = 2
ROUNDS = 5 if SOAK else 1
Request = Callable[[str, str], bool]


def stores(method: str, path: str) -> bool:
    return method == "PUT" and "/checkpoints/" in path


def deletes(method: str, path: str) -> bool:
    """One of a list of one."""
    return method == "POST" and path.endswith("?delete")


MOMENTS = {
    "before a row names it": stores,
    "after the commit, before the old one is deleted": deletes,
}


@pytest.fixture
def place(tmp_path: Path, postgres_url: str, s3_server: S3, s3: dict[str, Any]) -> Iterator[Place]:
    with on_s3(tmp_path, postgres_url, s3_server, s3) as found:
        yield found


class Killing:
    """Kills the worker at the first request that is ``awaited``, once it is ``ready``.

    What it was about to store is stored all the same; what it was about to delete is not deleted.
    """

    def __init__(self, awaited: Request, worker: Service, ready: Callable[[], bool]) -> None:
        self.awaited, self.worker, self.ready, self.done = awaited, worker, ready, False

    def __call__(self, method: str, path: str) -> Fate:
        if self.done:
            return "cut"
        if not self.awaited(method, path) or not self.ready():
            return None
        self.done = True
        self.worker.kill()
        return None if self.awaited is stores else "cut"


def has_gone_on(place: Place, job_id: str, step: int) -> bool:
    """All that are kept are there, one of them from beyond ``step``."""
    return len(place.checkpoints(job_id)) == KEPT and place.step(job_id) > step


def test_c7_exactly_the_last_checkpoints_are_kept_wherever_a_worker_is_killed(
    place: Place, record_property: RecordProperty
) -> None:
    assert place.proxy is not None
    job_id = submit(
        place.engine,
        training_spec(schedule={"epochs": 10 * ROUNDS, "batch_size": 64, "checkpoint_seconds": 0}),
    )
    moments = list(MOMENTS.items()) * ROUNDS
    for number, (when, awaited) in enumerate(moments):
        before = place.step(job_id)
        with place.worker(str(number)) as worker:
            killing = Killing(
                awaited, worker, lambda before=before: has_gone_on(place, job_id, before)
            )
            place.proxy.rule = killing
            wait_for(lambda killing=killing: killing.done, 90, when)
            worker.wait(20)
        assert len(place.verified(job_id)) == KEPT
        assert place.step(job_id) > before
    place.proxy.rule = lambda method, path: None
    with place.worker("last"):
        job = wait_for_end(place.engine, job_id)
    assert (job.status, job.attempt) == ("succeeded", 1 + len(moments))
    assert len(place.verified(job_id)) == KEPT
    named = {row.object_key for row in place.checkpoints(job_id)}
    stored = {key for key in stored_keys(place.objects, f"jobs/{job_id}") if "/checkpoints/" in key}
    assert named <= stored
    record_figure(record_property, "checkpoints named after every kill", KEPT, f"exactly {KEPT}")
    record_figure(record_property, "objects left for the collector", len(stored - named))
