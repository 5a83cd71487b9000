"""A whole service, API and worker as processes of their own, that is sent many files at once."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from core.store import keys
from core.store.database.engine import make_engine
from core.store.database.tables import DEFAULT_PROJECT
from tests.api import conftest as api
from tests.worker.service import Service, wait_for

Kind = Literal["models", "datasets"]
FileBuilder = Callable[[Path], bytes]
"""An upload's bytes; what runs in it touches the file that is given."""
MAX_GROWTH_BYTES = 100 * 2**20
PATIENCE_SECONDS = 240
SLOTS = 2
LIMITS = ("CORE", "DATA", "FSIZE", "NOFILE")
NETWORK = {"architecture": "small_cnn", "width": 4}


@dataclass(frozen=True)
class UploadResult:
    """What became of one upload. ``seconds``: of its import, from the trainer's start to its end."""

    status: str
    response: int
    problem: dict[str, Any]
    seconds: float | None = None
    attempts: int = 0


@dataclass(frozen=True)
class Trainer:
    """What a trainer process may do and knows."""

    folder: str
    network: str
    status: dict[str, str]
    limits: dict[str, int]
    environment: dict[str, str]

    @classmethod
    def of(cls, process: psutil.Process) -> "Trainer":
        own = Path(f"/proc/{process.pid}")
        lines = (own / "status").read_text().splitlines()
        return cls(
            folder=str((own / "cwd").readlink()),
            network=str((own / "ns" / "net").readlink()),
            status={name: value.strip() for name, value in (line.split(":", 1) for line in lines)},
            limits={name: process.rlimit(getattr(psutil, f"RLIMIT_{name}"))[1] for name in LIMITS},
            environment=process.environ(),
        )


class Watched:
    """A process's resident memory, now and at its most since it was first looked at, in bytes."""

    def __init__(self, pid: int) -> None:
        self.folder = Path(f"/proc/{pid}")
        (self.folder / "clear_refs").write_text("5")
        self.before = psutil.Process(pid).memory_info().rss

    @property
    def growth(self) -> int:
        lines = dict(
            line.split(":", 1) for line in (self.folder / "status").read_text().splitlines()
        )
        return 1024 * int(lines["VmHWM"].split()[0]) - self.before


class ImportService:
    """The service, and what it says of files."""

    def __init__(self, folder: Path, database_url: str, **changes: str) -> None:
        self.folder, self.canary = folder, folder / "canary"
        settings = {"home": str(folder / "home"), "database_url": database_url, **changes}
        engine = make_engine(database_url)
        keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, api.KEY)
        engine.dispose()
        self.worker = Service(
            {
                **{f"DISTILL_{name.upper()}": value for name, value in settings.items()},
                "DISTILL_SLOTS": str(SLOTS),
            },
            folder / "worker.log",
        )
        try:
            self.api = api.Service(settings)
        except BaseException:
            self.worker.kill()
            raise
        wait_for(lambda: "worker ready" in (folder / "worker.log").read_text(), 60, "the worker")
        self.seen: dict[int, Trainer] = {}
        """The trainers that were met at work, by process id."""
        self.memory = {
            "API": Watched(self.api.process.pid),
            "worker": Watched(self.worker.process.pid),
        }

    def close(self) -> None:
        self.api.close()
        with self.worker:
            pass

    @property
    def scratch(self) -> list[Path]:
        return list((self.folder / "home" / "scratch" / "jobs").glob("*"))

    def judge(self, uploads: dict[str, tuple[Kind, FileBuilder]]) -> dict[str, UploadResult]:
        """Everything is uploaded at once; what became of each, by name."""
        sent = {
            name: self.send(f"upload-{at}", *upload)
            for at, (name, upload) in enumerate(uploads.items())
        }
        return {name: self.verdict(*row) for name, row in sent.items()}

    def send(self, name: str, kind: Kind, build: FileBuilder) -> tuple[Kind, str, Any]:
        shape = {"network": NETWORK, "classes": 10} if kind == "models" else {}
        announced = self.api.client.post(f"/v1/{kind}", json={"name": name, **shape})
        assert announced.status_code == 201, announced.text
        row_id = announced.json()["id"]
        headers = {"Content-Type": "application/octet-stream"}
        return (
            kind,
            row_id,
            self.api.client.put(
                f"/v1/{kind}/{row_id}/content", content=build(self.canary), headers=headers
            ),
        )

    def verdict(self, kind: Kind, row_id: str, response: Any) -> UploadResult:
        if response.status_code != 202:
            row = self.api.client.get(f"/v1/{kind}/{row_id}").json()
            return UploadResult(row["status"], response.status_code, response.json())
        row = wait_for(lambda: self.ended(kind, row_id), PATIENCE_SECONDS, "the end of an import")
        job = self.api.client.get(f"/v1/jobs/{row['import_job_id']}").json()
        return UploadResult(
            row["status"], 202, row["problem"] or {}, seconds_between(job), job["attempt"]
        )

    def ended(self, kind: Kind, row_id: str) -> Any:
        self.look_at_trainers()
        time.sleep(0.1)
        row = self.api.client.get(f"/v1/{kind}/{row_id}").json()
        return row["status"] != "importing" and row

    def look_at_trainers(self) -> None:
        for process in self.worker.trainers():
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                if process.pid not in self.seen and "worker.sandbox" not in process.cmdline():
                    self.seen[process.pid] = Trainer.of(process)


def seconds_between(job: dict[str, Any]) -> float:
    start, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (ended - start).total_seconds()
