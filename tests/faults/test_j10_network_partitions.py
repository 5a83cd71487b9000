"""J10: a worker is cut off from the database past its lease, and the object store is still there."""

import time

import pytest

from tests.faults.conftest import Figure
from tests.faults.deployment import LEASE_SECONDS, PATIENCE_SECONDS, Deployment
from tests.faults.proxy import Proxy
from tests.faults.test_j05_zombies import everything
from tests.servers import Postgres
from tests.worker.results import latest_checkpoint_step, endless_job, short_job
from tests.worker.service import wait_for


def test_j10_a_worker_cut_off_past_its_lease_publishes_nothing_and_there_is_one_result(
    served: Deployment, postgres_server: Postgres, figure: Figure
) -> None:
    direct = served.settings["DISTILL_DATABASE_URL"]
    with Proxy(postgres_server.port) as network:
        cut_off = served.worker(
            "cut-off",
            DISTILL_DATABASE_URL=direct.replace(f":{postgres_server.port}/", f":{network.port}/"),
        )
        job_id = served.submit(short_job(80))
        wait_for(
            lambda: latest_checkpoint_step(served.engine, job_id), PATIENCE_SECONDS, "a checkpoint"
        )
        network.blackhole()
        served.worker("second")
        wait_for(
            lambda: served.look(job_id).attempt == 2, PATIENCE_SECONDS, "another worker's claim"
        )
        first = {key for key in served.objects(job_id) if f"{job_id}/1/" in key}
        assert served.until_done(job_id).attempt == 2
        assert {key for key in served.objects(job_id) if f"{job_id}/1/" in key} <= first, (
            "published past its lease"
        )
        before = everything(served, job_id)
        network.heal()
        began = time.monotonic()
        wait_for(lambda: not cut_off.trainers(), PATIENCE_SECONDS, "the end of the stale attempt")
        served.assert_one_result(job_id)
        figure(
            "until the stale attempt has ended after healing, s",
            time.monotonic() - began,
            "at most 10",
        )
        assert everything(served, job_id) == before
        assert cut_off.process.poll() is None, "the worker itself goes on"


@pytest.mark.parametrize("cut", ["blackhole", "refuse"])
def test_j10_a_worker_that_stays_cut_off_ends_its_trainer(
    served: Deployment, postgres_server: Postgres, figure: Figure, cut: str
) -> None:
    url = served.settings["DISTILL_DATABASE_URL"]
    with Proxy(postgres_server.port) as network:
        changes = {
            "DISTILL_DATABASE_URL": url.replace(f":{postgres_server.port}/", f":{network.port}/"),
            "DISTILL_ISOLATION_SECONDS": str(2 * LEASE_SECONDS),
        }
        worker = served.worker("cut-off", **changes)
        job_id = served.submit(endless_job())
        wait_for(
            lambda: latest_checkpoint_step(served.engine, job_id), PATIENCE_SECONDS, "a checkpoint"
        )
        [trainer] = worker.trainers()
        getattr(network, cut)()
        began = time.monotonic()
        wait_for(
            lambda: not trainer.is_running(),
            PATIENCE_SECONDS,
            "the end of a trainer nobody hears of",
        )
        figure(
            "until the trainer is given up, s",
            time.monotonic() - began,
            f"about {2 * LEASE_SECONDS:g}, as is set",
        )
