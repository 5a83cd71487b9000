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
from embedded.service import StartupError, Service

PATIENT = "import time\nprint('here', flush=True)\ntime.sleep(60)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PATIENT
BROKEN = "raise SystemExit('It is broken.')\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


@pytest.fixture
def program(tmp_path: Path, log: Path) -> Iterator["Program"]:
    found = Program(tmp_path, log)
    yield found
    terminate_all(found.children, 0)


class Program:
    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.children: list[Child] = []

    def __call__(self, code: str, *, started: bool = True) -> Child:
        (self.folder / "program_of_the_test.py").write_text(code)
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        child = Child("API", "program_of_the_test", environment, self.log)
        self.children.append(child)
        while started and "here" not in self.log.read_text():
            time.sleep(0.02)
        return child


def test_who_falls_at_once_is_started_again_after_longer_and_longer_pauses(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE_SECONDS", 0.05)
    child = program(BROKEN, started=False)
    said: list[str] = []
    while len(said) < 3:
        if fall := child.poll():
            said.append(fall)
        time.sleep(0.01)
    assert [line.split("again in ")[1].split(" s.")[0] for line in said] == ["0.05", "0.1", "0.2"]
    assert said[0].startswith("The API ended with status 1")
    assert child.log_tail() == "It is broken.\n" * 2 + "It is broken."


def test_who_ran_for_long_begins_with_the_shortest_pause(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STEADY_SECONDS", 0.0)
    child = program(PATIENT)
    child.crashes = 7
    child.process.kill()
    child.process.wait()
    assert "again in 0.5 s" in (child.poll() or "")


def test_who_does_not_end_when_asked_is_killed(program: Program) -> None:
    stubborn = program(STUBBORN)
    terminate_all([stubborn], 0.3)
    assert stubborn.process.returncode == -9


def test_a_child_knows_that_its_parent_is_gone_already(log: Path) -> None:
    """The parent may end between fork and prctl; then nobody would send the signal."""
    nobody = max(psutil.pids()) + 1
    command = [
        sys.executable,
        "-m",
        "embedded.child_process",
        str(nobody),
        sys.executable,
        "-c",
        "print('ran')",
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")


def test_a_service_that_does_not_start_is_told_with_its_last_words(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE_SECONDS", 0.05)
    service = Service(DataFolder(tmp_path), "127.0.0.1", 9, None, threading.Event())
    with pytest.raises(StartupError, match=r"The API does not start:\nIt is broken\."):
        service.supervise([program(BROKEN, started=False)], until_ready=True)
