"""Where a service keeps things, for tests that damage them: SQLite and a folder, or Postgres and S3 behind a proxy."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine

from core.jobspec.job import TrainingSpec
from core.settings import Settings
from core.store import artifacts, events
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import ArtifactRow
from core.store.objects.store import Objects
from tests.builders import training_spec
from tests.faults.store_proxy import StoreProxy, before
from tests.servers import S3
from tests.worker.service import Service


@dataclass
class Place:
    """``settings`` are those of a service; ``objects`` is the same store, by a way of its own."""

    folder: Path
    settings: Settings
    engine: Engine
    objects: Objects
    proxy: StoreProxy | None = None
    s3: S3 | None = None

    @property
    def home(self) -> Path:
        return self.settings.home

    def worker(
        self,
        name: str = "worker",
        command: tuple[str, ...] = ("-m", "worker.polling"),
        **changes: str,
    ) -> Service:
        """It never gives a job up, unless told to: many a test kills it more than five times."""
        patient = {"DISTILL_MAX_ATTEMPTS": "1000", "DISTILL_BACKOFF_SECONDS": "0.05"}
        said = {
            f"DISTILL_{key.upper()}": str(value)
            for key, value in self.settings.model_dump(exclude_unset=True).items()
        }
        return Service({**patient, **said, **changes}, self.folder / f"{name}.log", command)

    def half_written(self) -> set[str]:
        """What is being written to disk and store, and what killed processes have left of it."""
        found = {path.name for path in self.home.rglob(".*.part")} | {
            path.name for path in self.home.rglob("uploading-*")
        }
        return found | (
            self.s3.unfinished_uploads(urlsplit(self.settings.objects_url).netloc)
            if self.s3 is not None
            else set()
        )

    def damage(self, key: str, content: bytes | None) -> None:
        """Put other bytes in an object's place; None: take it away."""
        if content is None:
            self.objects.delete(key)
        else:
            self.objects.put_stream(key, [content], len(content))

    def content(self, key: str) -> bytes:
        return b"".join(self.objects.open(key))

    def checkpoints(self, job_id: str) -> list[ArtifactRow]:
        with read_session(self.engine) as session:
            return artifacts.list_checkpoints(session, job_id)

    def step(self, job_id: str) -> int:
        """Of the furthest checkpoint; -1 where there is none."""
        return max((row.step or 0 for row in self.checkpoints(job_id)), default=-1)

    def verified(self, job_id: str) -> list[str]:
        """Names of the checkpoints that are what was stored. Raises CorruptObject for one that is not."""
        rows, target = self.checkpoints(job_id), self.folder / "fetched"
        for row in rows:
            self.objects.fetch(row.object_key, target, row.size, row.sha256)
        return [row.name for row in rows]

    def said(self, job_id: str, kind: str) -> list[dict[str, Any]]:
        with read_session(self.engine) as session:
            return [event.data for event in events.list_of_type(session, job_id, kind)]


@contextmanager
def on_a_folder(folder: Path, sqlite_url: str) -> Iterator[Place]:
    settings = Settings(home=folder / "home", database_url=sqlite_url)
    yield from _place(folder, settings, Objects.from_settings(settings))


@contextmanager
def on_s3(folder: Path, postgres_url: str, server: S3, s3: dict[str, Any]) -> Iterator[Place]:
    with before(server.port) as proxy:
        settings = Settings(
            home=folder / "home", database_url=postgres_url, **{**s3, "s3_endpoint": proxy.url}
        )
        yield from _place(folder, settings, Objects.from_settings(Settings(**s3)), proxy, server)


def _place(folder: Path, settings: Settings, objects: Objects, *servers: Any) -> Iterator[Place]:
    engine = make_engine(settings.database_url)
    try:
        yield Place(folder, settings, engine, objects, *servers)
    finally:
        engine.dispose()


def heavy(epochs: int = 10_000, width: int = 96) -> TrainingSpec:
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


def quickly(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """As ``until``, for what does not last."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.001)
    return value


def kill(worker: Service) -> None:
    """Worker and trainers at once, by SIGKILL; none is left when it returns."""
    trainers = worker.trainers()
    for process in trainers:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    worker.kill()
    for process in trainers:
        quickly(
            lambda process=process: not process.is_running() or process.status() == "zombie", 10
        )
