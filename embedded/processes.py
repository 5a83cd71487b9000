"""The API and the worker as children: started, started again when they fall, ended together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STEADY_SECONDS = 60.0
"""Who has run so long begins again with the shortest pause."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Child:
    """One program, kept running. Made and started in the main thread only: it ends with the thread that started it."""

    def __init__(self, name: str, module: str, environment: dict[str, str], log: Path) -> None:
        self.name, self.module, self.environment, self.log = name, module, environment, log
        self.crashes = 0
        self.restart_at: float | None = None
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-P",
            "-m",
            "embedded.child_process",
            str(os.getpid()),
            sys.executable,
            "-P",
            "-m",
            self.module,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
            )
        self.started_at = time.monotonic()
        self.restart_at = None

    def poll(self) -> str | None:
        """Start it again if it has fallen and its pause is over. A sentence when a fall is first seen."""
        now = time.monotonic()
        if self.restart_at is not None:
            if now >= self.restart_at:
                self.start()
            return None
        status = self.process.poll()
        if status is None:
            return None
        self.crashes = 1 if now - self.started_at > STEADY_SECONDS else self.crashes + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (self.crashes - 1))
        self.restart_at = now + pause
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return f"The {self.name} ended {how}; it is started again in {pause:g} s. Its log is {self.log}."

    def log_tail(self, lines: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").strip().splitlines()[-lines:])


def terminate_all(children: list[Child], patience_seconds: float) -> None:
    """SIGTERM to all, and SIGKILL to whoever is still there when patience runs out."""
    for child in children:
        child.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + patience_seconds
    for child in children:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
