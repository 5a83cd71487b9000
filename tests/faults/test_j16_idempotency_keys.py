"""J16: the same POST is sent twenty times at once, to two API processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
from sqlalchemy import func, select

from core.store.database.engine import read_session
from core.store.database.tables import EventRow, JobRow
from tests.builders import training_body
from tests.faults.deployment import Deployment

CLIENTS = 20


def test_j16_clients_with_one_idempotency_key_create_one_job(deployment: Deployment) -> None:
    """All twenty get the same response, and all but one know that it is replayed."""
    apis = [deployment.start_api(), deployment.start_api()]
    barrier = threading.Barrier(CLIENTS)

    def send(number: int) -> httpx2.Response:
        barrier.wait()
        return apis[number % 2].http.post(
            "/v1/jobs", json=training_body(), headers={"Idempotency-Key": "once"}
        )

    with ThreadPoolExecutor(CLIENTS) as pool:
        responses = list(pool.map(send, range(CLIENTS)))
    assert [response.status_code for response in responses] == [201] * CLIENTS
    assert len({response.text for response in responses}) == 1
    assert sum("Idempotency-Replayed" not in response.headers for response in responses) == 1
    with read_session(deployment.engine) as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 1
        assert session.scalar(select(func.count()).select_from(EventRow)) == 1
