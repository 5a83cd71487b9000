"""J16: the same POST twenty times at once, at two API processes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select

from core.store.database.engine import read_session
from core.store.database.tables import EventRow, JobRow
from tests.builders import training_body
from tests.faults.deployment import Deployment

CALLERS = 20


def test_j16_twenty_callers_with_one_idempotency_key_make_one_job(deployment: Deployment) -> None:
    apis = [deployment.api(), deployment.api()]
    barrier = threading.Barrier(CALLERS)

    def send(number: int) -> Any:
        barrier.wait()
        return apis[number % 2].http.post(
            "/v1/jobs", json=training_body(), headers={"Idempotency-Key": "once"}
        )

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(send, range(CALLERS)))
    assert [answer.status_code for answer in answers] == [201] * CALLERS
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    with read_session(deployment.engine) as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 1
        assert session.scalar(select(func.count()).select_from(EventRow)) == 1
