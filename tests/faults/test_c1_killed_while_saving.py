"""C1: SIGKILL in the middle of a save, by the trainer into its folder and by the worker into the store."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from core.atomic_files import sha256_of
from core.job_folder import FileReady, JobFolder, Resumed
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from tests.faults.places import Place, heavy, kill, on_a_folder, on_s3, quickly
from tests.measurements import SOAK, RecordProperty, record_figure
from tests.servers import S3
from tests.worker.service import submit, wait_for

KILLS = 40 if SOAK else 8
WORKER_KILLS = 20 if SOAK else 2
SPREAD_SECONDS = 0.3


class Saver:
    """Processes of ``tests.faults.saving``, one at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.saving"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, what: str, path: Path) -> int:
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{what} {path}\n")
        self.parent.stdin.flush()
        return self._number()

    def kill(self, process: int) -> None:
        os.kill(process, signal.SIGKILL)
        assert self._number() == -signal.SIGKILL

    def _number(self) -> int:
        assert self.parent.stdout is not None
        return int(self.parent.stdout.readline())

    def close(self) -> None:
        assert self.parent.stdin is not None
        self.parent.stdin.close()
        self.parent.wait(20)


@pytest.fixture
def saver() -> Iterator[Saver]:
    saver = Saver()
    yield saver
    saver.close()


def laid_out(path: Path, checkpoint: Path | None) -> JobFolder:
    folder = JobFolder(path)
    folder.create(resolve(heavy(), DIGITS), dataset=DIGITS)
    if checkpoint is not None:
        checkpoint.replace(folder.checkpoint)
    return folder


def said(folder: JobFolder, kind: type) -> list[Any]:
    return [event for event in folder.read_events()[0] if isinstance(event, kind)]


def test_c1_whatever_moment_a_trainer_is_killed_at_its_last_checkpoint_loads(
    saver: Saver, tmp_path: Path, record_property: RecordProperty
) -> None:
    chance, kept, step, cut_off = random.Random(1), None, None, 0
    for number in range(KILLS):
        folder = laid_out(tmp_path / str(number), kept)
        process = saver.start("job", folder.path)
        quickly(lambda folder=folder: said(folder, FileReady))
        if number % 2:
            time.sleep(chance.uniform(0, SPREAD_SECONDS))
        else:  # as soon as the next save is seen to have begun
            quickly(lambda folder=folder: list(folder.output.glob(".*.part")))
        saver.kill(process)
        cut_off += bool(list(folder.output.glob(".*.part")))
        if step is not None:
            assert said(folder, Resumed)[0].step == step, (
                "the attempt before had left a checkpoint that loads"
            )
        newest = said(folder, FileReady)[-1]
        kept, step = folder.output / newest.name, newest.step
        assert (kept.stat().st_size, sha256_of(kept)) == (newest.size, newest.sha256)
        with safe_open(kept, framework="pt") as file:
            assert file.metadata()["format"]
        kept = kept.replace(tmp_path / "kept")
        shutil.rmtree(folder.path)
    assert cut_off > 0, "no kill was in the middle of a save"
    record_figure(record_property, "kills in the middle of a save", f"{cut_off} of {KILLS}")
    record_figure(record_property, "checkpoints that load", f"{KILLS} of {KILLS}", "40 of 40")
    if SOAK:
        record_figure(
            record_property,
            "the same with plain torch.save",
            f"{plain_saves_that_load(saver, tmp_path)} of {KILLS}",
        )


def plain_saves_that_load(saver: Saver, folder: Path) -> int:
    chance, loaded = random.Random(1), 0
    for number in range(KILLS):
        path = folder / f"plain-{number}"
        process = saver.start("plain", path)
        quickly(lambda path=path: path.exists())
        time.sleep(chance.uniform(0, SPREAD_SECONDS))
        saver.kill(process)
        try:
            torch.load(path, weights_only=True)
            loaded += 1
        except (RuntimeError, OSError, EOFError):
            pass
        path.unlink()
    return loaded


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        with on_a_folder(tmp_path, request.getfixturevalue("sqlite_url")) as found:
            yield found
    else:
        server: S3 = request.getfixturevalue("s3_server")
        with on_s3(
            tmp_path, request.getfixturevalue("postgres_url"), server, request.getfixturevalue("s3")
        ) as found:
            assert found.proxy is not None
            found.proxy.rule = slowly
            yield found


def slowly(method: str, path: str) -> None:
    """A second part takes its time, so that there is a middle of an upload to be killed in."""
    if "partNumber=2" in path:
        time.sleep(0.3)


def test_c1_whatever_moment_a_worker_is_killed_at_the_last_row_names_a_checkpoint_that_loads(
    place: Place, record_property: RecordProperty
) -> None:
    chance, job_id, orphans, cut_off = random.Random(2), submit(place.engine, heavy()), set(), 0
    for number in range(WORKER_KILLS):
        reached = place.step(job_id)
        with place.worker(str(number)) as worker:
            wait_for(lambda reached=reached: place.step(job_id) > reached, 90, "a further checkpoint")
            quickly(lambda: list(place.home.glob("scratch/jobs/*/uploading-*")))
            time.sleep(chance.uniform(0, 0.05))
            kill(worker)
        cut_off += bool(place.half_written())
        orphans |= place.half_written()
        assert place.verified(job_id), "every row names what was stored"
    reached = place.step(job_id)
    with place.worker("last"):
        wait_for(lambda: place.step(job_id) > reached, 90, "a further checkpoint")
        resumed = [event["step"] for event in place.said(job_id, "resumed")]
        assert resumed[-1] == reached
        assert len(resumed) == WORKER_KILLS
        number = WORKER_KILLS + 1
        wait_for(
            lambda: [it.name for it in place.home.glob("scratch/jobs/*")] == [f"{job_id}-{number}"],
            30,
            "only its own folder",
        )
        wait_for(
            lambda: not orphans & place.half_written(),
            30,
            "the end of what the killed workers have left",
        )
    record_figure(record_property, "kills in the middle of an upload", f"{cut_off} of {WORKER_KILLS}")
    record_figure(record_property, "checkpoints that load", f"{WORKER_KILLS} of {WORKER_KILLS}", "all")
