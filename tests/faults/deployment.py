"""An installation whose processes tests start, kill, freeze and cut off from its servers.

``./run test`` runs it with short leases and waits. Where DISTILL_SOAK is set, they are those of a
production installation.
"""

import os
import signal
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import obstore
import psutil
from sqlalchemy import Engine

from core.jobspec.job import TrainingSpec
from core.queue import wake_workers
from core.settings import Settings
from core.store import jobs
from core.store.access import keys
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow
from core.store.objects.store import Objects
from distill_client import Distill
from tests.deployment import composed
from tests.measurements import SOAK
from tests.servers import Postgres, Redis, free_port
from tests.worker.results import (
    assert_exactly_one_result,
    assert_nothing_left,
    latest_checkpoint_step,
)
from tests.worker.service import Service, submit, wait_for, wait_for_end

PRODUCTION_SECONDS = {
    "heartbeat": "10",
    "lease": "30",
    "reconcile": "10",
    "poll": "1",
    "backoff": "10",
    "grace": "20",
}
SOAK_ENVIRONMENT = (
    {f"DISTILL_{name.upper()}_SECONDS": value for name, value in PRODUCTION_SECONDS.items()}
    if SOAK
    else {}
)
LEASE_SECONDS = 30.0 if SOAK else 3.0
TIMEOUT_SECONDS = 1800 if SOAK else 150
"""For whatever must happen at all: no test may depend on the speed of the machine."""
KEY = "dk_" + "fault" * 9
ServiceT = TypeVar("ServiceT", bound=Service)


class Api(Service):
    """``python -m api``, with the project's client, which retries, and one that does not."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        super().__init__(
            {**environment, "DISTILL_HOST": "127.0.0.1", "DISTILL_PORT": str(self.port)},
            log,
            composed.service_command("api"),
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30
        )
        self.client = Distill(self.url, KEY)
        wait_for(self._is_ready, 60, "a response of the API")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with suppress(httpx2.TransportError):
            return self.http.get("/healthz").status_code == 200
        return False

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.client.close()
        super().__exit__()


class Deployment:
    """API and worker processes on one database and object store. All end with the deployment.

    ``environment`` is that of every process, unless it is started with changes.
    """

    def __init__(
        self, folder: Path, environment: dict[str, str], worker_command: tuple[str, ...]
    ) -> None:
        self.folder = folder
        self.environment = {**SOAK_ENVIRONMENT, **environment}
        self.worker_command = worker_command
        self.scratch = Path(environment["DISTILL_SCRATCH_FOLDER"])
        values: dict[str, Any] = {
            name.removeprefix("DISTILL_").lower(): value for name, value in environment.items()
        }
        self.settings = Settings(**values)
        self.engine: Engine = make_engine(environment["DISTILL_DATABASE_URL"])
        self.processes: list[Service] = []
        keys.ensure(self.engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)

    @classmethod
    def on_servers(cls, folder: Path, database_url: str, redis: Redis, s3: dict[str, Any]) -> Self:
        """What docker-compose.yml starts: API and Celery workers, on Postgres, Redis and S3."""
        overrides = {f"DISTILL_{name.upper()}": str(value) for name, value in s3.items()}
        overrides |= {"DISTILL_DATABASE_URL": database_url, "DISTILL_BROKER_URL": redis.url}
        overrides |= {
            "DISTILL_SCRATCH_FOLDER": str(folder / "scratch"),
            "DISTILL_DATA_FOLDER": str(folder),
        }
        return cls(
            folder,
            {**composed.service_environment("worker", overrides), **overrides},
            composed.service_command("worker"),
        )

    @classmethod
    def embedded(cls, folder: Path, database_url: str) -> Self:
        """What `distill up` starts: API and polling worker, on SQLite and a folder."""
        environment = {
            "DISTILL_HOME": str(folder / "home"),
            "DISTILL_DATABASE_URL": database_url,
            "DISTILL_SCRATCH_FOLDER": str(folder / "home" / "scratch"),
        }
        return cls(folder, environment, ("-m", "worker.polling"))

    def start_worker(
        self, name: str = "worker", arguments: Iterable[str] = (), **changes: str
    ) -> Service:
        environment = {**self.environment, "DISTILL_WORKER_NAME": name, **changes}
        command = (*self.worker_command, *arguments)
        return self._register(Service(environment, self.folder / f"{name}.log", command))

    def start_api(self, **changes: str) -> Api:
        log = self.folder / f"api-{len(self.processes)}.log"
        return self._register(Api({**self.environment, **changes}, log))

    def submit(self, spec: TrainingSpec) -> str:
        """Submit a job as the API does, but without an API: the row first, then the wake-up."""
        job_id = submit(self.engine, spec)
        wake_workers(self.settings, job_id)
        return job_id

    def get_job(self, job_id: str) -> JobRow:
        with read_session(self.engine) as session:
            return jobs.get(session, DEFAULT_PROJECT, job_id)

    def wait_for_end(self, job_id: str) -> JobRow:
        return wait_for_end(self.engine, job_id, TIMEOUT_SECONDS)

    def wait_for_start(self, job_id: str) -> JobRow:
        """Return the job as soon as a worker has claimed it for the first time."""
        job: JobRow = wait_for(
            lambda: (row := self.get_job(job_id)).started_at and row,
            TIMEOUT_SECONDS,
            f"a worker for {job_id}",
        )
        return job

    def wait_for_checkpoint(self, job_id: str, seconds: float = TIMEOUT_SECONDS) -> None:
        wait_for(lambda: latest_checkpoint_step(self.engine, job_id), seconds, "a checkpoint")

    def assert_one_result(self, job_id: str) -> None:
        """The job has exactly one result, and no attempt has left a job folder."""
        assert_exactly_one_result(self.engine, self.get_job(job_id))
        assert_nothing_left(self.scratch, job_id)

    def assert_no_partial_files(self) -> None:
        """Wait until there is none: a worker may be writing one, as a job's log after its end."""
        wait_for(lambda: not self._partial_files(), TIMEOUT_SECONDS, "the end of partial files")

    def _partial_files(self) -> list[str]:
        # os.walk, not rglob: rglob fails where a folder is deleted meanwhile.
        names = (name for _, _, files in os.walk(self.folder) for name in files)
        return [name for name in names if name.endswith((".part", ".tmp")) or "#" in name]

    def object_keys(self, job_id: str) -> set[str]:
        """Return the keys of the job's objects, whether a row references them or not."""
        store = Objects.from_settings(self.settings)._client()
        return {entry["path"] for page in obstore.list(store, f"jobs/{job_id}") for entry in page}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            stack.callback(self.engine.dispose)
            for process in self.processes:
                stack.callback(process.__exit__)

    def _register(self, process: ServiceT) -> ServiceT:
        self.processes.append(process)
        return process


def kill_service(service: Service) -> None:
    """Kill a process and its trainers at once, as when the machine loses its power."""
    trainers = service.trainers()
    service.send(signal.SIGKILL)
    for trainer in trainers:
        with suppress(psutil.NoSuchProcess):
            trainer.kill()
    service.process.wait(10)
    psutil.wait_procs(trainers, 10)


def start_postgres(stack: ExitStack) -> Postgres:
    """Start a server that only the calling test uses, so that it may kill and freeze it."""
    server = Postgres()
    stack.callback(server.close)
    return server.start()


def start_redis(stack: ExitStack) -> Redis:
    """Start a server that only the calling test uses, so that it may kill and freeze it."""
    server = Redis()
    stack.callback(server.close)
    return server.start()
