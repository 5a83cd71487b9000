"""J18: two API processes, two workers and their sweepers on one SQLite file; one after another is killed at random."""

import itertools
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable

import httpx2
from sqlalchemy import select

from core.store.database.engine import read_session
from core.store.database.tables import JobRow
from tests.builders import training_body
from tests.faults.conftest import Figure
from tests.faults.deployment import Api, Deployment, kill
from tests.measurements import SOAK
from tests.worker.service import Service

KILLS, PAUSE_SECONDS, CALLERS = (50, 4.0, 6) if SOAK else (6, 2.0, 4)


class Caller(threading.Thread):
    """Submits jobs without end. What gets no answer is sent again under its key, to the other API."""

    def __init__(self, apis: list[Api], over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.apis, self.over = apis, over
        self.acknowledged: dict[str, str] = {}
        self.unanswered, self.refused = 0, list[str]()

    def run(self) -> None:
        turns = itertools.cycle(range(len(self.apis)))
        while not self.over.is_set():
            key = str(uuid.uuid4())
            while not self.over.is_set() and key not in self.acknowledged:
                self.send(key, self.apis[next(turns)])

    def send(self, key: str, api: Api) -> None:
        try:
            answer = api.http.post(
                "/v1/jobs", json=training_body(), headers={"Idempotency-Key": key}
            )
        except (httpx2.TransportError, RuntimeError):
            self.unanswered += 1
            time.sleep(0.05)
            return
        if answer.status_code == 201:
            self.acknowledged[key] = answer.json()["id"]
        else:
            self.refused.append(f"{answer.status_code} {answer.text}")


def test_j18_on_sqlite_nothing_acknowledged_is_lost_and_nobody_meets_a_lock(
    embedded: Deployment, figure: Figure
) -> None:
    chance, over = random.Random(18), threading.Event()
    apis = [embedded.api(), embedded.api()]
    workers = [embedded.worker(f"worker-{number}") for number in range(2)]
    callers = [Caller(apis, over) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()

    def another_api(number: int) -> Callable[[], None]:
        return lambda: apis.__setitem__(number, embedded.api())

    def another_worker(number: int) -> Callable[[], None]:
        return lambda: workers.__setitem__(number, embedded.worker(f"worker-{number}"))

    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, PAUSE_SECONDS))
        number = chance.randrange(2)
        victim: tuple[Service, Callable[[], None]] = chance.choice(
            [(apis[number], another_api(number)), (workers[number], another_worker(number))]
        )
        kill(victim[0])
        victim[1]()
    over.set()
    for caller in callers:
        caller.join(60)
    acknowledged = {job_id for caller in callers for job_id in caller.acknowledged.values()}
    figure("kills", KILLS)
    figure("jobs acknowledged", len(acknowledged))
    figure("requests without an answer", sum(caller.unanswered for caller in callers))
    refused = [text for caller in callers for text in caller.refused]
    figure("answers other than 201", len(refused), "none")
    assert not refused
    assert len(acknowledged) == sum(len(caller.acknowledged) for caller in callers) > 0
    with read_session(embedded.engine) as session:
        assert acknowledged <= set(session.scalars(select(JobRow.id)))
    with sqlite3.connect(embedded.engine.url.database or "") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    locked = [
        process.log.name
        for process in embedded.processes
        if "database is locked" in process.log.read_text()
    ]
    assert not locked
