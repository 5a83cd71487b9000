"""API and worker as child processes: started, restarted when they end, and terminated together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STABLE_SECONDS = 60.0
"""A process that has run for longer is restarted after the shortest pause again."""
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0


class Child:
    """One program that is kept running.

    Create and poll it in the main thread: a child ends with the thread that started it.
    """

    def __init__(self, name: str, module: str, environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.module = module
        self.environment = environment
        self.log = log
        self.crashes = 0
        """Number of times that it has ended within STABLE_SECONDS, in a row."""
        self.restart_at: float | None = None
        self.start()

    def start(self) -> None:
        # -P: a module of the current folder must not replace one of the service.
        python = (sys.executable, "-P", "-m")
        command = [*python, "embedded.child_process", str(os.getpid()), *python, self.module]
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
        """Restart it if it has ended and its pause is over.

        Returns a sentence when it is first seen to have ended, else None.
        """
        now = time.monotonic()
        if self.restart_at is not None:
            if now >= self.restart_at:
                self.start()
            return None
        status = self.process.poll()
        if status is None:
            return None
        self.crashes = 1 if now - self.started_at > STABLE_SECONDS else self.crashes + 1
        pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (self.crashes - 1))
        self.restart_at = now + pause
        cause = f"by signal {-status}" if status < 0 else f"with status {status}"
        return (
            f"The {self.name} ended {cause}; it is restarted in {pause:g} s. Its log is {self.log}."
        )

    def log_tail(self, lines: int = 5) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").strip().splitlines()[-lines:])


def terminate_all(children: list[Child], grace_seconds: float) -> None:
    """Send SIGTERM to all of them, and SIGKILL to those still running after ``grace_seconds``."""
    for child in children:
        child.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    for child in children:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
