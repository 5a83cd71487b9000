"""API and worker as processes of their own, which receive many uploads at once."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import httpx2
import psutil

from core.store.access import keys
from core.store.database.engine import make_engine
from core.store.database.tables import DEFAULT_PROJECT
from tests.api import conftest as api
from tests.worker.service import Service, wait_for

Kind = Literal["models", "datasets"]
FileBuilder = Callable[[Path], bytes]
"""Returns an upload's bytes. If they run, they touch the canary, whose path is the argument."""
MAX_GROWTH_BYTES = 100 * 2**20
IMPORT_TIMEOUT_SECONDS = 240
SLOTS = 2
RESOURCE_LIMITS = ("CORE", "DATA", "FSIZE", "NOFILE")
NETWORK = {"architecture": "small_cnn", "width": 4}


@dataclass(frozen=True)
class UploadResult:
    """How one upload ended: the row's status and problem, and the status of the HTTP response.

    ``seconds``: duration of its import, from the trainer's start to its end.
    """

    status: str
    http_status: int
    problem: dict[str, Any]
    seconds: float | None = None
    attempts: int = 0


@dataclass(frozen=True)
class TrainerRights:
    """What a trainer process may do, and its environment, as the kernel reports them."""

    folder: str
    network: str
    """Its network namespace."""
    status: dict[str, str]
    """``/proc/PID/status``."""
    limits: dict[str, int]
    environment: dict[str, str]

    @classmethod
    def read(cls, process: psutil.Process) -> Self:
        """Raises FileNotFoundError, ProcessLookupError or NoSuchProcess if it has ended."""
        folder = Path(f"/proc/{process.pid}")
        lines = (folder / "status").read_text().splitlines()
        return cls(
            folder=str((folder / "cwd").readlink()),
            network=str((folder / "ns" / "net").readlink()),
            status={name: value.strip() for name, value in (line.split(":", 1) for line in lines)},
            limits={
                name: process.rlimit(getattr(psutil, f"RLIMIT_{name}"))[1]
                for name in RESOURCE_LIMITS
            },
            environment=process.environ(),
        )


class MemoryProbe:
    """Measures how far a process's resident memory rises above its size at the start."""

    def __init__(self, pid: int) -> None:
        self.folder = Path(f"/proc/{pid}")
        # Writing 5 resets the kernel's peak value, VmHWM.
        (self.folder / "clear_refs").write_text("5")
        self.initial_bytes: int = psutil.Process(pid).memory_info().rss

    @property
    def growth(self) -> int:
        """Return the peak since the start, less the memory at the start, in bytes."""
        lines = dict(
            line.split(":", 1) for line in (self.folder / "status").read_text().splitlines()
        )
        return 1024 * int(lines["VmHWM"].split()[0]) - self.initial_bytes


class ImportService:
    """The two processes, and what they make of uploads."""

    def __init__(self, folder: Path, database_url: str, **changes: str) -> None:
        self.folder = folder
        self.canary = folder / "canary"
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
        self.trainers: dict[int, TrainerRights] = {}
        """The trainers that were running when they were sampled, by process id."""
        self.memory = {
            "API": MemoryProbe(self.api.process.pid),
            "worker": MemoryProbe(self.worker.process.pid),
        }

    def close(self) -> None:
        self.api.close()
        with self.worker:  # whose exit also kills its trainers
            pass

    @property
    def scratch_folders(self) -> list[Path]:
        """Return the job folders that exist now."""
        return list((self.folder / "home" / "scratch" / "jobs").glob("*"))

    def upload_all(self, uploads: dict[str, tuple[Kind, FileBuilder]]) -> dict[str, UploadResult]:
        """Upload everything at once, and return how each upload ended."""
        responses = {
            name: self.upload(f"upload-{number}", kind, file_builder)
            for number, (name, (kind, file_builder)) in enumerate(uploads.items())
        }
        return {
            name: self.wait_for_result(uploads[name][0], row_id, response)
            for name, (row_id, response) in responses.items()
        }

    def upload(
        self, name: str, kind: Kind, file_builder: FileBuilder
    ) -> tuple[str, httpx2.Response]:
        """Return the id of the new model or data set, and the response to its content."""
        description = {"network": NETWORK, "classes": 10} if kind == "models" else {}
        created = self.api.client.post(f"/v1/{kind}", json={"name": name, **description})
        assert created.status_code == 201, created.text
        row_id = created.json()["id"]
        response = self.api.client.put(
            f"/v1/{kind}/{row_id}/content",
            content=file_builder(self.canary),
            headers={"Content-Type": "application/octet-stream"},
        )
        return row_id, response

    def wait_for_result(self, kind: Kind, row_id: str, response: httpx2.Response) -> UploadResult:
        if response.status_code != 202:
            row = self.api.client.get(f"/v1/{kind}/{row_id}").json()
            return UploadResult(row["status"], response.status_code, response.json())
        row = wait_for(
            lambda: self.poll_imported(kind, row_id), IMPORT_TIMEOUT_SECONDS, "the end of an import"
        )
        job = self.api.client.get(f"/v1/jobs/{row['import_job_id']}").json()
        return UploadResult(
            row["status"], 202, row["problem"] or {}, job_seconds(job), job["attempt"]
        )

    def poll_imported(self, kind: Kind, row_id: str) -> dict[str, Any] | None:
        """Return the row if its import has ended; sample the trainers meanwhile."""
        self.sample_trainers()
        time.sleep(0.1)
        row: dict[str, Any] = self.api.client.get(f"/v1/{kind}/{row_id}").json()
        return None if row["status"] == "importing" else row

    def sample_trainers(self) -> None:
        """Read the rights of each new trainer that is past ``worker.sandbox``, which drops them."""
        for process in self.worker.trainers():
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                if process.pid not in self.trainers and "worker.sandbox" not in process.cmdline():
                    self.trainers[process.pid] = TrainerRights.read(process)


def job_seconds(job: dict[str, Any]) -> float:
    """Return how long a job took, from the API's representation."""
    start = datetime.fromisoformat(job["started_at"])
    end = datetime.fromisoformat(job["finished_at"])
    return (end - start).total_seconds()
