"""C1: a trainer is killed while it saves to its folder, and a worker while it uploads."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from safetensors import safe_open

from core.atomic_files import sha256_of
from core.job_folder import FileReady, JobFolder, Resumed
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from tests.faults.conftest import RecordFigure
from tests.faults.storage import (
    Storage,
    kill_worker,
    saving_job,
    wait_for_brief,
)
from tests.measurements import SOAK
from tests.worker.service import submit, wait_for

KILLS = 40 if SOAK else 8
WORKER_KILLS = 20 if SOAK else 2
SPREAD_SECONDS = 0.3
EventT = TypeVar("EventT")


class SavingProcesses:
    """Processes of ``tests.faults.saving_processes``, one at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.saving_processes"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, mode: str, path: Path) -> int:
        """Start a process and return its id."""
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{mode} {path}\n")
        self.parent.stdin.flush()
        return self._read_number()

    def kill(self, process_id: int) -> None:
        os.kill(process_id, signal.SIGKILL)
        assert self._read_number() == -signal.SIGKILL

    def _read_number(self) -> int:
        assert self.parent.stdout is not None
        return int(self.parent.stdout.readline())

    def close(self) -> None:
        assert self.parent.stdin is not None
        self.parent.stdin.close()
        self.parent.wait(20)


@pytest.fixture
def saving_processes() -> Iterator[SavingProcesses]:
    processes = SavingProcesses()
    yield processes
    processes.close()


def create_job_folder(path: Path, checkpoint: Path | None) -> JobFolder:
    folder = JobFolder(path)
    folder.create(resolve(saving_job(), DIGITS), dataset=DIGITS)
    if checkpoint is not None:
        checkpoint.replace(folder.checkpoint)
    return folder


def read_events(folder: JobFolder, event_class: type[EventT]) -> list[EventT]:
    return [event for event in folder.read_events()[0] if isinstance(event, event_class)]


def partial_files(folder: JobFolder) -> list[Path]:
    return list(folder.output.glob(".*.part"))


def kill_while_saving(
    processes: SavingProcesses, folder: JobFolder, delay_seconds: float | None
) -> bool:
    """Kill a trainer after its first save; return whether it was killed in the middle of a save.

    It is killed after ``delay_seconds``; None: as soon as the next save has visibly begun.
    """
    process_id = processes.start("job", folder.path)
    wait_for_brief(partial(read_events, folder, FileReady))
    if delay_seconds is None:
        wait_for_brief(partial(partial_files, folder))
    else:
        time.sleep(delay_seconds)
    processes.kill(process_id)
    return bool(partial_files(folder))


def test_c1_last_checkpoint_of_a_killed_trainer_loads(
    saving_processes: SavingProcesses, tmp_path: Path, record_figure: RecordFigure
) -> None:
    """Whenever a trainer is killed, its last announced checkpoint loads."""
    generator = random.Random(1)
    checkpoint: Path | None = None
    step: int | None = None
    partial_saves = 0
    for number in range(KILLS):
        folder = create_job_folder(tmp_path / str(number), checkpoint)
        delay_seconds = generator.uniform(0, SPREAD_SECONDS) if number % 2 else None
        partial_saves += kill_while_saving(saving_processes, folder, delay_seconds)
        if step is not None:
            assert read_events(folder, Resumed)[0].step == step, (
                "the previous attempt's checkpoint was not loaded"
            )
        newest = read_events(folder, FileReady)[-1]
        step = newest.step
        checkpoint = folder.output / newest.name
        assert (checkpoint.stat().st_size, sha256_of(checkpoint)) == (newest.size, newest.sha256)
        with safe_open(checkpoint, framework="pt") as file:
            assert file.metadata()["format"]
        checkpoint = checkpoint.replace(tmp_path / "checkpoint")
        shutil.rmtree(folder.path)
    assert partial_saves > 0, "no kill was in the middle of a save"
    record_figure("kills in the middle of a save", f"{partial_saves} of {KILLS}")
    record_figure("checkpoints that load", f"{KILLS} of {KILLS}", "40 of 40")
    if SOAK:
        loaded = count_plain_saves_that_load(saving_processes, tmp_path)
        record_figure("files of a plain torch.save that load", f"{loaded} of {KILLS}")


def count_plain_saves_that_load(processes: SavingProcesses, folder: Path) -> int:
    generator = random.Random(1)
    loaded = 0
    for number in range(KILLS):
        path = folder / f"plain-{number}"
        process_id = processes.start("plain", path)
        wait_for_brief(path.exists)
        time.sleep(generator.uniform(0, SPREAD_SECONDS))
        processes.kill(process_id)
        try:
            torch.load(path, weights_only=True)
            loaded += 1
        except (RuntimeError, OSError, EOFError):
            pass
        path.unlink()
    return loaded


@pytest.fixture
def storage(storage: Storage) -> Storage:
    """The storage of every test here, with slow uploads to S3."""
    if storage.proxy is not None:
        storage.proxy.rule = delay_second_part
    return storage


def delay_second_part(method: str, path: str) -> None:
    """Make uploads slow enough for a kill in the middle of one."""
    if "partNumber=2" in path:
        time.sleep(0.3)


def has_checkpoint_beyond(storage: Storage, job_id: str, step: int) -> bool:
    return storage.latest_step(job_id) > step


def test_c1_last_checkpoint_of_a_killed_worker_loads(
    storage: Storage, record_figure: RecordFigure
) -> None:
    """Whenever a worker is killed, the last row references a checkpoint that loads."""
    generator = random.Random(2)
    job_id = submit(storage.engine, saving_job())
    orphans: set[str] = set()
    partial_uploads = 0
    for number in range(WORKER_KILLS):
        step = storage.latest_step(job_id)
        with storage.start_worker(str(number)) as worker:
            is_further = partial(has_checkpoint_beyond, storage, job_id, step)
            wait_for(is_further, 90, "a further checkpoint")
            wait_for_brief(lambda: list(storage.home.glob("scratch/jobs/*/uploading-*")))
            time.sleep(generator.uniform(0, 0.05))
            kill_worker(worker)
        partial_uploads += bool(storage.unfinished_writes())
        orphans |= storage.unfinished_writes()
        assert storage.verify_checkpoints(job_id), "a row references what was not stored"
    assert_last_worker_resumes_and_cleans_up(storage, job_id, orphans)
    record_figure("kills in the middle of an upload", f"{partial_uploads} of {WORKER_KILLS}")
    record_figure("checkpoints that load", f"{WORKER_KILLS} of {WORKER_KILLS}", "all")


def assert_last_worker_resumes_and_cleans_up(
    storage: Storage, job_id: str, orphans: set[str]
) -> None:
    step = storage.latest_step(job_id)
    with storage.start_worker("last"):
        is_further = partial(has_checkpoint_beyond, storage, job_id, step)
        wait_for(is_further, 90, "a further checkpoint")
        resumed_steps = [event["step"] for event in storage.event_data(job_id, "resumed")]
        assert resumed_steps[-1] == step
        assert len(resumed_steps) == WORKER_KILLS
        own_folder = f"{job_id}-{WORKER_KILLS + 1}"
        wait_for(
            lambda: [path.name for path in storage.home.glob("scratch/jobs/*")] == [own_folder],
            30,
            "only the last attempt's job folder",
        )
        wait_for(
            lambda: not orphans & storage.unfinished_writes(),
            30,
            "the removal of what the killed workers had half written",
        )
