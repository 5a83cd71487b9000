"""J6: the clocks of workers and of the API are two hours off, one way and the other. Time is the database's.

On Postgres alone: SQLite's clock is that of the one machine on which all of it runs.
"""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.store.database.engine import database_now, read_session
from core.store.database.tables import ApiKeyRow
from tests.faults.conftest import Figure
from tests.faults.deployment import LEASE_SECONDS, PATIENCE_SECONDS, Deployment, kill
from tests.servers import MissingProgramError
from tests.worker.results import latest_checkpoint_step, endless_job
from tests.worker.service import wait_for

DAY_MS = 24 * 3600 * 1000


def clock(offset: str) -> dict[str, str]:
    """An environment in which the time of day is wrong by so much; clocks that only count run on as they do."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise MissingProgramError("faketime is missing: apt-get install -y libfaketime")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(Path(__file__).parent / "wrong_clock"),
    }


def test_j6_workers_whose_clocks_are_two_hours_off_lose_no_lease_and_take_none(
    served: Deployment, figure: Figure
) -> None:
    early, late = served.worker("early", **clock("-2h")), served.worker("late", **clock("+2h"))
    workers: dict[str | None, Any] = {"early": early, "late": late}
    held = [served.submit(endless_job()) for _ in workers]
    for job_id in held:
        wait_for(
            lambda job_id=job_id: latest_checkpoint_step(served.engine, job_id),
            PATIENCE_SECONDS,
            "a checkpoint",
        )
    time.sleep(2 * LEASE_SECONDS)
    rows = [served.look(job_id) for job_id in held]
    assert {row.worker for row in rows} == {"early", "late"}
    assert [(row.status, row.attempt, row.infrastructure_failures) for row in rows] == [
        ("running", 1, 0)
    ] * 2
    figure("leases that ran out in two leases' time", 0, "none")
    # A worker that is really lost is still found out, by whichever clock the other one has.
    kill(workers[rows[0].worker])
    began = time.monotonic()
    wait_for(
        lambda: served.look(held[0]).infrastructure_failures == 1, PATIENCE_SECONDS, "the sweep"
    )
    figure(
        "until a worker that is lost is found out, s",
        time.monotonic() - began,
        f"at most {4 * LEASE_SECONDS / 3:g}",
    )
    assert served.look(held[1]).attempt == 1


@pytest.mark.parametrize("offset", ["-2h", "+2h"])
def test_j6_a_key_expires_by_the_databases_clock(served: Deployment, offset: str) -> None:
    api = served.api(**clock(offset))
    answer = api.http.post(
        "/v1/keys", json={"name": "short-lived", "scopes": ["read"], "expires_in_days": 1}
    )
    assert answer.status_code == 201, answer.text
    with read_session(served.engine) as session:
        [lives_ms] = session.scalars(
            select(ApiKeyRow.expires_at - database_now()).where(ApiKeyRow.name == "short-lived")
        )
    assert abs(lives_ms - DAY_MS) < 10 * 60 * 1000
