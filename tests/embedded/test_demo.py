"""``python -m embedded.demo``."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_no_service_behind(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "embedded.demo", "--data", str(tmp_path)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert demo.stderr is not None
    assert any("/sign-in#token=" in line for line in demo.stderr)
    processes = psutil.Process(demo.pid).children(recursive=True)
    assert len(processes) >= 3
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 128 + number
    assert "Traceback" not in errors
    assert psutil.wait_procs(processes, 5)[1] == []
