"""Imports run as the trainer runs them: how they end on request, too late, or without memory."""

import io
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from core.distillation.__main__ import run
from core.job_folder import Ended, JobFolder, StopReason
from tests.distillation.data.builders import import_job, split_folders, zip_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    """The import of a valid data set, with a clock that advances two seconds with every reading."""
    seconds = count(0, 2)
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    job = import_job(tmp_path / "job")
    job.upload.write_bytes(zip_of(split_folders()))
    return job


def test_an_uninterrupted_import_succeeds(folder: JobFolder) -> None:
    assert run(folder, threading.Event()).outcome == "succeeded"


@pytest.mark.parametrize("reason", ["cancel", "release"])
def test_an_import_stops_on_request(folder: JobFolder, reason: StopReason) -> None:
    folder.request_stop(reason)
    assert run(folder, threading.Event()) == Ended(
        outcome="stopped", message=f"Stopped on request ({reason})."
    )


def test_an_import_stops_at_a_signal(folder: JobFolder) -> None:
    terminated = threading.Event()
    terminated.set()
    assert run(folder, terminated).outcome == "stopped"


def test_an_import_ends_at_its_time_limit(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILL_IMPORT_SECONDS", "7")
    ended = run(folder, threading.Event())
    assert (ended.outcome, ended.code, ended.failure_class) == ("failed", "timeout", "timeout")


def test_s3_an_import_beyond_its_memory_fails_alone(tmp_path: Path) -> None:
    """Its trainer ends, not the machine.

    400 images of 512 x 512 take 300 MiB when decoded, and the trainer has less than that left.
    """
    job = import_job(tmp_path / "job")
    image = io.BytesIO()
    Image.new("RGB", (512, 512)).save(image, "PNG")
    names = [f"{name}/{index}.png" for name in ("cat", "dog") for index in range(200)]
    job.upload.write_bytes(zip_of(dict.fromkeys(names, image.getvalue())))
    python = (sys.executable, "-P", "-m")
    sandbox = [*python, "worker.sandbox", f"--limit=DATA={2**30}"]
    command = [*sandbox, *python, "core.distillation", str(job.path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 1, process.stderr
    ended = job.read_events()[0][-1]
    assert isinstance(ended, Ended)
    assert (ended.code, ended.failure_class) == ("out_of_memory", "infrastructure")
    assert list(job.output.iterdir()) == []
