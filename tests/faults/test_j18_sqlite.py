"""J18: two API processes and two workers use one SQLite file; at random, one of them is killed."""

import itertools
import random
import sqlite3
import threading
import time
import uuid

import httpx2
from sqlalchemy import select

from core.store.database.engine import read_session
from core.store.database.tables import JobRow
from tests.builders import training_body
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import Api, Deployment, kill_service
from tests.measurements import SOAK
from tests.worker.service import Service

KILLS = 50 if SOAK else 6
MAX_PAUSE_SECONDS = 4.0 if SOAK else 2.0
CLIENTS = 6 if SOAK else 4


class SubmittingClient(threading.Thread):
    """Submits jobs until ``end`` is set.

    A request that gets no response is repeated with its idempotency key, at the other API.
    """

    def __init__(self, apis: list[Api], end: threading.Event) -> None:
        super().__init__(daemon=True)
        self.apis = apis
        self.end = end
        self.acknowledged: dict[str, str] = {}
        """Job ids by idempotency key."""
        self.unanswered = 0
        self.refused: list[str] = []

    def run(self) -> None:
        numbers = itertools.cycle(range(len(self.apis)))
        while not self.end.is_set():
            key = str(uuid.uuid4())
            while not self.end.is_set() and key not in self.acknowledged:
                self.send(key, self.apis[next(numbers)])

    def send(self, key: str, api: Api) -> None:
        try:
            response = api.http.post(
                "/v1/jobs", json=training_body(), headers={"Idempotency-Key": key}
            )
        except (httpx2.TransportError, RuntimeError):
            self.unanswered += 1
            time.sleep(0.05)
            return
        if response.status_code == 201:
            self.acknowledged[key] = response.json()["id"]
        else:
            self.refused.append(f"{response.status_code} {response.text}")


def kill_at_random(deployment: Deployment, apis: list[Api], workers: list[Service]) -> None:
    """Kill an API or a worker after each of several random pauses, and start it again."""
    generator = random.Random(18)
    for _ in range(KILLS):
        time.sleep(generator.uniform(0.2, MAX_PAUSE_SECONDS))
        number = generator.randrange(2)
        if generator.choice(["api", "worker"]) == "api":
            kill_service(apis[number])
            apis[number] = deployment.start_api()
        else:
            kill_service(workers[number])
            workers[number] = deployment.start_worker(f"worker-{number}")


def test_j18_sqlite_loses_no_acknowledged_job(
    embedded_deployment: Deployment, record_figure: RecordFigure
) -> None:
    """The file stays intact, and no process reports a locked database."""
    deployment = embedded_deployment
    end = threading.Event()
    apis = [deployment.start_api(), deployment.start_api()]
    workers = [deployment.start_worker(f"worker-{number}") for number in range(2)]
    clients = [SubmittingClient(apis, end) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    kill_at_random(deployment, apis, workers)
    end.set()
    for client in clients:
        client.join(60)
    acknowledged = {job_id for client in clients for job_id in client.acknowledged.values()}
    refused = [text for client in clients for text in client.refused]
    record_figure("kills", KILLS)
    record_figure("jobs acknowledged", len(acknowledged))
    record_figure("requests without a response", sum(client.unanswered for client in clients))
    record_figure("responses other than 201", len(refused), "none")
    assert not refused
    assert len(acknowledged) == sum(len(client.acknowledged) for client in clients) > 0
    with read_session(deployment.engine) as session:
        assert acknowledged <= set(session.scalars(select(JobRow.id)))
    assert_intact_and_never_locked(deployment)


def assert_intact_and_never_locked(deployment: Deployment) -> None:
    with sqlite3.connect(deployment.engine.url.database or "") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    locked = [
        process.log.name
        for process in deployment.processes
        if "database is locked" in process.log.read_text()
    ]
    assert not locked
