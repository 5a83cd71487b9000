"""C7: a worker is killed between storing a checkpoint, naming it in a row, and deleting the one that is kept no longer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import training_spec
from tests.faults.places import SOAK, Place, Record, figure, on_s3
from tests.faults.store_proxy import Fate
from tests.servers import S3
from tests.worker.service import Service, submit, until, until_done

KEPT = 2
ROUNDS = 5 if SOAK else 1
MOMENTS = {"before a row names it": "PUT", "after the commit, before the old one is deleted": "DELETE"}


@pytest.fixture
def place(tmp_path: Path, postgres_url: str, s3_server: S3, s3: dict[str, Any]) -> Iterator[Place]:
    with on_s3(tmp_path, postgres_url, s3_server, s3) as found:
        yield found


class Killing:
    """Kills the worker at the first request of ``method`` about a checkpoint, once ``KEPT`` of this attempt's are there.

    What it was about to do is done in the store all the same (PUT), or not at all (DELETE).
    """

    def __init__(self, method: str, worker: Service, ready: Any) -> None:
        self.method, self.worker, self.ready, self.done = method, worker, ready, False

    def __call__(self, method: str, path: str) -> Fate:
        if self.done:
            return "cut"
        if method != self.method or "/checkpoints/" not in path or not self.ready():
            return None
        self.done = True
        self.worker.kill()
        return None if method == "PUT" else "cut"


def test_c7_exactly_the_last_checkpoints_are_kept_wherever_a_worker_is_killed(place: Place, record_property: Record) -> None:
    assert place.proxy is not None
    job_id = submit(place.engine, training_spec(schedule={"epochs": 30, "batch_size": 64, "checkpoint_seconds": 0}))
    moments = list(MOMENTS.values()) * ROUNDS
    for number, method in enumerate(moments):
        before = place.step(job_id)
        with place.worker(str(number)) as worker:
            killing = Killing(method, worker, lambda before=before: place.step(job_id) > before)
            place.proxy.rule = killing
            until(lambda killing=killing: killing.done, 90, f"a {method}")
            worker.wait(20)
        assert len(place.verified(job_id)) == KEPT
        assert place.step(job_id) > before
    place.proxy.rule = lambda method, path: None
    with place.worker("last"):
        job = until_done(place.engine, job_id)
    assert (job.status, job.attempt) == ("succeeded", 1 + len(moments))
    assert len(place.verified(job_id)) == KEPT
    named = {row.object_key for row in place.checkpoints(job_id)}
    stored = {key for key in place.objects.list_keys(f"jobs/{job_id}") if "/checkpoints/" in key}
    assert named <= stored
    figure(record_property, "checkpoints named after every kill", KEPT, f"exactly {KEPT}")
    figure(record_property, "objects left for the collector", len(stored - named))
