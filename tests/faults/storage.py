"""The storage of one service, for tests that damage it.

It is SQLite and a folder, or Postgres and S3 behind a proxy.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from sqlalchemy import Engine

from core.jobspec.job import TrainingSpec
from core.settings import Settings
from core.store import artifacts, events
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import ArtifactRow
from core.store.objects.store import Objects
from tests.builders import training_spec
from tests.faults.s3_proxy import S3Proxy, run_s3_proxy
from tests.servers import S3
from tests.worker.service import Service


@dataclass
class Storage:
    """Database and object store of one service.

    ``settings`` are the service's. ``objects`` is its object store, not through the proxy.
    """

    folder: Path
    settings: Settings
    engine: Engine
    objects: Objects
    proxy: S3Proxy | None = None
    s3: S3 | None = None

    @property
    def home(self) -> Path:
        return self.settings.home

    def start_worker(
        self,
        name: str = "worker",
        command: tuple[str, ...] = ("-m", "worker.polling"),
        **changes: str,
    ) -> Service:
        """Start a worker that never gives a job up: many tests kill it more than five times."""
        environment = {
            "DISTILL_MAX_ATTEMPTS": "1000",
            "DISTILL_BACKOFF_SECONDS": "0.05",
            **self.environment(),
            **changes,
        }
        return Service(environment, self.folder / f"{name}.log", command)

    def environment(self) -> dict[str, str]:
        """Return the settings as environment variables."""
        return {
            f"DISTILL_{name.upper()}": str(value)
            for name, value in self.settings.model_dump(exclude_unset=True).items()
        }

    def unfinished_writes(self) -> set[str]:
        """Return what is half written in files and objects, now or by processes killed earlier."""
        # os.walk, not rglob: rglob fails where a folder is deleted meanwhile.
        names = {name for _, _, files in os.walk(self.home) for name in files}
        partial_files = {name for name in names if fnmatch(name, ".*.part")}
        uploading_links = {name for name in names if fnmatch(name, "uploading-*")}
        uploads: set[str] = set()
        if self.s3 is not None:
            uploads = self.s3.unfinished_uploads(urlsplit(self.settings.objects_url).netloc)
        return partial_files | uploading_links | uploads

    def replace_object(self, key: str, content: bytes | None) -> None:
        """Replace the bytes of an object; None deletes it."""
        if content is None:
            self.objects.delete(key)
        else:
            self.objects.put_stream(key, [content], len(content))

    def read_object(self, key: str) -> bytes:
        return b"".join(self.objects.open(key))

    def list_checkpoints(self, job_id: str) -> list[ArtifactRow]:
        with read_session(self.engine) as session:
            return artifacts.list_checkpoints(session, job_id)

    def latest_step(self, job_id: str) -> int:
        """Return the highest step of a checkpoint; -1 if there is none."""
        return max((row.step or 0 for row in self.list_checkpoints(job_id)), default=-1)

    def verify_checkpoints(self, job_id: str) -> list[str]:
        """Verify every checkpoint and return their names. Raises CorruptObject."""
        rows = self.list_checkpoints(job_id)
        target = self.folder / "fetched"
        for row in rows:
            self.objects.fetch(row.object_key, target, row.size, row.sha256)
        return [row.name for row in rows]

    def event_data(self, job_id: str, event_type: str) -> list[dict[str, Any]]:
        """Return the data of the job's events of one type, in order."""
        with read_session(self.engine) as session:
            return [event.data for event in events.list_of_type(session, job_id, event_type)]


@contextmanager
def open_folder_storage(folder: Path, sqlite_url: str) -> Iterator[Storage]:
    settings = Settings(home=folder / "home", database_url=sqlite_url)
    yield from _open(folder, settings, Objects.from_settings(settings))


@contextmanager
def open_s3_storage(
    folder: Path, postgres_url: str, server: S3, s3: dict[str, Any]
) -> Iterator[Storage]:
    with run_s3_proxy(server.port) as proxy:
        settings = Settings(
            home=folder / "home", database_url=postgres_url, **{**s3, "s3_endpoint": proxy.url}
        )
        yield from _open(folder, settings, Objects.from_settings(Settings(**s3)), proxy, server)


def _open(folder: Path, settings: Settings, objects: Objects, *servers: Any) -> Iterator[Storage]:
    engine = make_engine(settings.database_url)
    try:
        yield Storage(folder, settings, engine, objects, *servers)
    finally:
        engine.dispose()


def saving_job(epochs: int = 10_000, width: int = 96) -> TrainingSpec:
    """A job that does little but save: 10 MB after every step."""
    return training_spec(
        student={"architecture": "small_cnn", "width": width},
        method={"name": "pgd_at"},
        data={
            "dataset": "digits",
            "held_out": 0.1,
            "limit": 80,
            "augmentation": {"crop_padding": 0, "flip": False},
        },
        adversary={"name": "pgd", "radius": 0.1, "step_size": 0.05, "steps": 1},
        schedule={
            "epochs": epochs,
            "batch_size": 8,
            "learning_rate": 0.01,
            "checkpoint_seconds": 0,
        },
        evaluation={"attacks": [], "limit": 16, "every_epochs": 1000},
    )


def wait_for_brief(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Poll as ``wait_for`` does, but every millisecond, for a condition that holds only briefly."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.001)
    return value


def kill_worker(worker: Service) -> None:
    """Kill worker and trainers at once by SIGKILL; none of them is alive when it returns."""
    trainers = worker.trainers()
    for trainer in trainers:
        with suppress(ProcessLookupError):
            os.killpg(trainer.pid, signal.SIGKILL)
    worker.kill()
    for trainer in trainers:
        wait_for_brief(partial(_is_dead, trainer), 10)


def _is_dead(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
