"""An import from the job folder's side, by the trainer's own entrance: how it ends when it does not end by itself."""

import io
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from core.distillation.__main__ import run
from core.distillation.jobs import import_progress
from core.job_folder import Ended, JobFolder
from tests.distillation.data.building import import_job, split_classes, zip_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    """Of an honest data set. Two seconds pass between any two looks at the clock."""
    seconds = count(0, 2)
    monkeypatch.setattr(import_progress.time, "monotonic", lambda: next(seconds))
    job = import_job(tmp_path / "job")
    job.upload.write_bytes(zip_of(split_classes()))
    return job


def test_an_import_that_nobody_stops_succeeds(folder: JobFolder) -> None:
    assert run(folder, threading.Event()).outcome == "succeeded"


@pytest.mark.parametrize("reason", ["cancel", "release"])
def test_an_import_looks_for_a_request_to_stop(folder: JobFolder, reason: str) -> None:
    folder.request_stop(reason)
    assert run(folder, threading.Event()) == Ended(
        outcome="stopped", message=f"Stopped on request ({reason})."
    )


def test_an_import_stops_at_a_signal(folder: JobFolder) -> None:
    signalled = threading.Event()
    signalled.set()
    assert run(folder, signalled).outcome == "stopped"


def test_an_import_has_so_much_time_and_no_more(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILL_IMPORT_SECONDS", "7")
    ended = run(folder, threading.Event())
    assert (ended.outcome, ended.code, ended.failure_class) == ("failed", "timeout", "timeout")


def test_s3_a_data_set_beyond_the_memory_of_imports_ends_the_import_and_not_the_machine(
    tmp_path: Path,
) -> None:
    """400 images of 512 x 512 take 300 MiB when they are decoded, and the trainer is left less than that."""
    job = import_job(tmp_path / "job")
    large = io.BytesIO()
    Image.new("RGB", (512, 512)).save(large, "PNG")
    job.upload.write_bytes(
        zip_of(
            {f"{name}/{at}.png": large.getvalue() for name in ("cat", "dog") for at in range(200)}
        )
    )
    python = (sys.executable, "-P", "-m")
    command = [
        *python,
        "worker.sandbox",
        f"--limit=DATA={2**30}",
        *python,
        "core.distillation",
        str(job.path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    ended = job.read_events()[0][-1]
    assert isinstance(ended, Ended)
    assert (ended.code, ended.failure_class) == ("out_of_memory", "infrastructure")
    assert list(job.output.iterdir()) == []
