"""J6: the clocks of workers and API are two hours off. All times are the database's.

These tests run on Postgres only: SQLite's clock is that of the one machine that all processes are
on.
"""

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from core.store.database.engine import database_now, read_session
from core.store.database.tables import ApiKeyRow
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import LEASE_SECONDS, TIMEOUT_SECONDS, Deployment, kill_service
from tests.servers import MissingProgramError
from tests.worker.results import endless_job
from tests.worker.service import wait_for

DAY_MS = 24 * 3600 * 1000


def wrong_clock(offset: str) -> dict[str, str]:
    """Return an environment in which the time of day is wrong, but the monotonic clock is not."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        raise MissingProgramError("faketime is missing: apt-get install -y libfaketime")
    return {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(Path(__file__).parent / "wrong_clock"),
    }


def test_j6_workers_with_wrong_clocks_keep_their_leases(
    server_deployment: Deployment, record_figure: RecordFigure
) -> None:
    """One is two hours early and one late: no lease expires, but that of a killed worker."""
    deployment = server_deployment
    workers = {
        "early": deployment.start_worker("early", **wrong_clock("-2h")),
        "late": deployment.start_worker("late", **wrong_clock("+2h")),
    }
    job_ids = [deployment.submit(endless_job()) for _ in workers]
    for job_id in job_ids:
        deployment.wait_for_checkpoint(job_id)
    time.sleep(2 * LEASE_SECONDS)
    rows = [deployment.get_job(job_id) for job_id in job_ids]
    assert {row.worker for row in rows} == {"early", "late"}
    assert [(row.status, row.attempt, row.infrastructure_failures) for row in rows] == [
        ("running", 1, 0)
    ] * 2
    record_figure("leases that expire during two leases", 0, "none")
    # A worker that is really lost is noticed, whichever clock the other one has.
    kill_service(workers[rows[0].worker or ""])
    killed_at = time.monotonic()
    wait_for(
        lambda: deployment.get_job(job_ids[0]).infrastructure_failures == 1,
        TIMEOUT_SECONDS,
        "the reconciliation",
    )
    record_figure(
        "until a lost worker is noticed, s",
        time.monotonic() - killed_at,
        f"at most {4 * LEASE_SECONDS / 3:g}",
    )
    assert deployment.get_job(job_ids[1]).attempt == 1


@pytest.mark.parametrize("offset", ["-2h", "+2h"])
def test_j6_api_key_expires_by_the_clock_of_the_database(
    server_deployment: Deployment, offset: str
) -> None:
    """A key that an API with a wrong clock creates for a day expires in a day."""
    api = server_deployment.start_api(**wrong_clock(offset))
    response = api.http.post(
        "/v1/keys", json={"name": "short-lived", "scopes": ["read"], "expires_in_days": 1}
    )
    assert response.status_code == 201, response.text
    with read_session(server_deployment.engine) as session:
        [lifetime_ms] = session.scalars(
            select(ApiKeyRow.expires_at - database_now()).where(ApiKeyRow.name == "short-lived")
        )
    assert lifetime_ms is not None
    assert abs(lifetime_ms - DAY_MS) < 10 * 60 * 1000
