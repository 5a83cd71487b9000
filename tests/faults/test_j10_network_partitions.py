"""J10: a worker is cut off from the database past its lease, but not from the object store."""

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import RecordFigure
from tests.faults.deployment import LEASE_SECONDS, TIMEOUT_SECONDS, Deployment
from tests.faults.tcp_proxy import TcpProxy
from tests.faults.test_j05_stale_workers import job_state
from tests.servers import Postgres
from tests.worker.results import endless_job, short_job
from tests.worker.service import wait_for


def proxied_url(deployment: Deployment, postgres: Postgres, network: TcpProxy) -> str:
    """Return the database's URL through the proxy."""
    url = deployment.environment["DISTILL_DATABASE_URL"]
    return url.replace(f":{postgres.port}/", f":{network.port}/")


def first_attempt_keys(deployment: Deployment, job_id: str) -> set[str]:
    """But for its log, which the worker stores that has noticed the loss of the other."""
    keys = {key for key in deployment.object_keys(job_id) if f"{job_id}/1/" in key}
    return {key for key in keys if "/logs/" not in key}


def test_j10_worker_cut_off_past_its_lease_publishes_nothing(
    server_deployment: Deployment, postgres_server: Postgres, record_figure: RecordFigure
) -> None:
    """Another worker finishes the job, which has one result, also after the network heals."""
    deployment = server_deployment
    with TcpProxy(postgres_server.port) as network:
        url = proxied_url(deployment, postgres_server, network)
        cut_off_worker = deployment.start_worker("cut-off", DISTILL_DATABASE_URL=url)
        job_id = deployment.submit(short_job(80))
        deployment.wait_for_checkpoint(job_id)
        network.blackhole()
        deployment.start_worker("second")
        wait_for(
            lambda: deployment.get_job(job_id).attempt == 2,
            TIMEOUT_SECONDS,
            "another worker's claim",
        )
        keys = first_attempt_keys(deployment, job_id)
        assert deployment.wait_for_end(job_id).attempt == 2
        assert first_attempt_keys(deployment, job_id) <= keys, "published past its lease"
        state = job_state(deployment, job_id)
        network.heal()
        healed_at = time.monotonic()
        wait_for(
            lambda: not cut_off_worker.trainers(), TIMEOUT_SECONDS, "the end of the stale attempt"
        )
        deployment.assert_one_result(job_id)
        seconds = time.monotonic() - healed_at
        record_figure("from healing to the end of the stale attempt, s", seconds, "at most 10")
        assert job_state(deployment, job_id) == state
        assert cut_off_worker.process.poll() is None, "the worker itself has ended"


@pytest.mark.parametrize("cut", [TcpProxy.blackhole, TcpProxy.refuse], ids=["blackhole", "refuse"])
def test_j10_worker_that_stays_cut_off_ends_its_trainer(
    server_deployment: Deployment,
    postgres_server: Postgres,
    record_figure: RecordFigure,
    cut: Callable[[TcpProxy], None],
) -> None:
    """It ends the trainer after DISTILL_ISOLATION_SECONDS."""
    deployment = server_deployment
    with TcpProxy(postgres_server.port) as network:
        changes = {
            "DISTILL_DATABASE_URL": proxied_url(deployment, postgres_server, network),
            "DISTILL_ISOLATION_SECONDS": str(2 * LEASE_SECONDS),
        }
        worker = deployment.start_worker("cut-off", **changes)
        job_id = deployment.submit(endless_job())
        deployment.wait_for_checkpoint(job_id)
        [trainer] = worker.trainers()
        cut(network)
        cut_at = time.monotonic()
        wait_for(
            lambda: not trainer.is_running(), TIMEOUT_SECONDS, "the end of an isolated trainer"
        )
        record_figure(
            "until the trainer is ended, s",
            time.monotonic() - cut_at,
            f"about {2 * LEASE_SECONDS:g}, the value of the setting",
        )
