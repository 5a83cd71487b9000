"""One installation whose processes are started, killed, frozen and cut off by hand, and what must be left of it.

Scaled down for ``./run test``; at full length, with the leases and waits of a real installation, where DISTILL_SOAK is set.
"""

import signal
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import obstore
import psutil
from sqlalchemy import Engine

from core.jobspec.job import TrainingSpec
from core.queue import wake_workers
from core.settings import Settings
from core.store import artifacts, jobs, keys
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow
from core.store.objects.store import Objects
from distill_client import Distill
from tests.deployment import composed
from tests.measurements import SOAK
from tests.servers import S3, Postgres, Redis, free_port
from tests.worker.results import assert_exactly_one_result, assert_nothing_left
from tests.worker.service import Service, submit, wait_for, wait_for_end

REAL_SECONDS = {
    "heartbeat": "10",
    "lease": "30",
    "reconcile": "10",
    "poll": "1",
    "backoff": "10",
    "grace": "20",
}
PACE = (
    {f"DISTILL_{name.upper()}_SECONDS": value for name, value in REAL_SECONDS.items()}
    if SOAK
    else {}
)
LEASE_SECONDS = 30.0 if SOAK else 3.0
PATIENCE_SECONDS = 1800 if SOAK else 150
"""For whatever must come about at all: no test is decided by how fast the machine is."""
KEY = "dk_" + "fault" * 9


class Api(Service):
    """``python -m api``, with the project's client, which tries again, and a plain one, which does not."""

    def __init__(self, settings: dict[str, str], log: Path) -> None:
        self.port = free_port()
        super().__init__(
            {**settings, "DISTILL_HOST": "127.0.0.1", "DISTILL_PORT": str(self.port)},
            log,
            composed.service_command("api"),
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30
        )
        self.client = Distill(self.url, KEY)
        wait_for(self._answers, 60, "an answer of the API")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with suppress(httpx2.TransportError):
            return self.http.get("/healthz").status_code == 200
        return False

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.client.close()
        super().__exit__()


class Deployment:
    """``settings`` are every process's, unless it is started with others. All processes end with the deployment."""

    def __init__(self, folder: Path, settings: dict[str, str], worker: tuple[str, ...]) -> None:
        self.folder, self.settings, self.worker_command = folder, {**PACE, **settings}, worker
        self.scratch = Path(settings["DISTILL_SCRATCH_FOLDER"])
        self.plain = Settings(
            **{name.removeprefix("DISTILL_").lower(): value for name, value in settings.items()}
        )  # type: ignore[arg-type]
        self.engine: Engine = make_engine(settings["DISTILL_DATABASE_URL"])
        self.processes: list[Service] = []
        keys.ensure(self.engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)

    @classmethod
    def on_servers(cls, folder: Path, database_url: str, redis: Redis, s3: dict[str, Any]) -> Self:
        """What docker-compose.yml starts: API and Celery workers, on Postgres, Redis and S3."""
        here = {f"DISTILL_{name.upper()}": str(value) for name, value in s3.items()}
        here |= {"DISTILL_DATABASE_URL": database_url, "DISTILL_BROKER_URL": redis.url}
        here |= {
            "DISTILL_SCRATCH_FOLDER": str(folder / "scratch"),
            "DISTILL_DATA_FOLDER": str(folder),
        }
        return cls(
            folder,
            {**composed.service_environment("worker", here), **here},
            composed.service_command("worker"),
        )

    @classmethod
    def on_files(cls, folder: Path, database_url: str) -> Self:
        """What `distill up` starts: API and polling worker, on SQLite and a folder."""
        home = {"DISTILL_HOME": str(folder / "home"), "DISTILL_DATABASE_URL": database_url}
        return cls(
            folder,
            {**home, "DISTILL_SCRATCH_FOLDER": str(folder / "home" / "scratch")},
            ("-m", "worker.polling"),
        )

    def worker(
        self, name: str = "worker", arguments: Iterable[str] = (), **changes: str
    ) -> Service:
        environment = {**self.settings, "DISTILL_WORKER_NAME": name, **changes}
        return self._kept(
            Service(environment, self.folder / f"{name}.log", (*self.worker_command, *arguments))
        )

    def api(self, **changes: str) -> Api:
        return self._kept(
            Api({**self.settings, **changes}, self.folder / f"api-{len(self.processes)}.log")
        )

    def submit(self, spec: TrainingSpec) -> str:
        """As the API does it, without an API: the row, then the hint."""
        job_id = submit(self.engine, spec)
        wake_workers(self.plain, job_id)
        return job_id

    def look(self, job_id: str) -> JobRow:
        with read_session(self.engine) as session:
            return jobs.get(session, DEFAULT_PROJECT, job_id)

    def until_done(self, job_id: str) -> JobRow:
        return wait_for_end(self.engine, job_id, PATIENCE_SECONDS)

    def until_begun(self, job_id: str) -> JobRow:
        """Some worker has had it, or has it."""
        found: JobRow = wait_for(
            lambda: (job := self.look(job_id)).started_at and job,
            PATIENCE_SECONDS,
            f"a worker for {job_id}",
        )
        return found

    def assert_one_result(self, job_id: str) -> None:
        """Of the job; and nothing of any attempt is left where attempts work."""
        assert_exactly_one_result(self.engine, self.look(job_id))
        assert_nothing_left(self.scratch, job_id)

    def assert_no_partial_files(self) -> None:
        assert not [
            path
            for path in self.folder.rglob("*")
            if path.suffix in {".part", ".tmp"} or "#" in path.name
        ]

    def unnamed_objects(self, job_id: str) -> set[str]:
        """Keys of the job's objects that no row of it names."""
        with read_session(self.engine) as session:
            named = {artifact.object_key for artifact in artifacts.list_artifacts(session, job_id)}
        return self.objects(job_id) - named

    def objects(self, job_id: str) -> set[str]:
        store = Objects.from_settings(self.plain)._client()
        return {found["path"] for page in obstore.list(store, f"jobs/{job_id}") for found in page}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            stack.callback(self.engine.dispose)
            for process in self.processes:
                stack.callback(process.__exit__)

    def _kept(self, process: Any) -> Any:
        self.processes.append(process)
        return process


def kill(worker: Service) -> None:
    """The worker and its trainers at once, as when the machine loses its power."""
    trainers = worker.trainers()
    worker.send(signal.SIGKILL)
    for trainer in trainers:
        with suppress(psutil.NoSuchProcess):
            trainer.kill()
    worker.process.wait(10)
    psutil.wait_procs(trainers, 10)


def fresh_postgres(stack: ExitStack) -> Postgres:
    """A server of the test's own, to be killed and frozen."""
    server = Postgres()
    stack.callback(server.close)
    return server.start()


def fresh_redis(stack: ExitStack) -> Redis:
    server = Redis()
    stack.callback(server.close)
    return server.start()


def bucket(s3: S3, name: str) -> dict[str, Any]:
    s3.create_bucket(name)
    return s3.settings(name)
