"""Child processes of the embedded service: restarts, and their end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from embedded import processes
from embedded.data_folder import DataFolder
from embedded.processes import Child, terminate_all
from embedded.service import Service, StartupError

PATIENT = "import time\nprint('here', flush=True)\ntime.sleep(60)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PATIENT
BROKEN = "raise SystemExit('It is broken.')\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


@pytest.fixture
def start_program(tmp_path: Path, log: Path) -> Iterator["ProgramStarter"]:
    starter = ProgramStarter(tmp_path, log)
    yield starter
    terminate_all(starter.children, 0)


class ProgramStarter:
    """Starts Python code as a child, and waits until that has printed something."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.log = log
        self.children: list[Child] = []

    def __call__(self, code: str, *, wait: bool = True) -> Child:
        (self.folder / "program_of_the_test.py").write_text(code)
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        child = Child("API", "program_of_the_test", environment, self.log)
        self.children.append(child)
        while wait and "here" not in self.log.read_text():
            time.sleep(0.02)
        return child


def test_a_crashing_child_is_restarted_after_growing_pauses(
    start_program: ProgramStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE_SECONDS", 0.05)
    child = start_program(BROKEN, wait=False)
    sentences: list[str] = []
    while len(sentences) < 3:
        if sentence := child.poll():
            sentences.append(sentence)
        time.sleep(0.01)
    pauses = [sentence.split("restarted in ")[1].split(" s.")[0] for sentence in sentences]
    assert pauses == ["0.05", "0.1", "0.2"]
    assert sentences[0].startswith("The API ended with status 1")
    assert child.log_tail() == "It is broken.\n" * 2 + "It is broken."


def test_after_a_long_run_the_pause_is_the_shortest_again(
    start_program: ProgramStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STABLE_SECONDS", 0.0)
    child = start_program(PATIENT)
    child.crashes = 7
    child.process.kill()
    child.process.wait()
    assert "restarted in 0.5 s" in (child.poll() or "")


def test_a_child_that_ignores_sigterm_is_killed(start_program: ProgramStarter) -> None:
    stubborn = start_program(STUBBORN)
    terminate_all([stubborn], 0.3)
    assert stubborn.process.returncode == -9


def test_a_child_exits_if_its_parent_has_ended_already(log: Path) -> None:
    """The parent may end between fork and prctl, and then the kernel sends no signal."""
    unused_pid = max(psutil.pids()) + 1
    wrapper = [sys.executable, "-m", "embedded.child_process", str(unused_pid)]
    command = [*wrapper, sys.executable, "-c", "print('ran')"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (1, "")


def test_a_failed_start_is_explained_by_the_log(
    start_program: ProgramStarter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE_SECONDS", 0.05)
    service = Service(DataFolder(tmp_path), "127.0.0.1", 9, None, threading.Event())
    with pytest.raises(StartupError, match=r"The API does not start:\nIt is broken\."):
        service.supervise([start_program(BROKEN, wait=False)], until_ready=True)
