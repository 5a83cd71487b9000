"""One trainer: a fresh interpreter, in a process group of its own, on one job folder, without the service's credentials."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from core.settings import Settings

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHASHSEED")
PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "TORCH_", "HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT")


def environment(settings: Settings) -> dict[str, str]:
    """What the trainer may know: no database, no broker, no object store."""
    passed = {
        name: value for name, value in os.environ.items() if name in PASSED_ON or name.upper().startswith(PASSED_ON_PREFIXES)
    }
    return (
        passed
        | {"DISTILL_DEVICE": settings.device, "PYTHONUNBUFFERED": "1"}
        | ({"DISTILL_THREADS": str(settings.threads)} if settings.threads else {})
    )


class TrainerProcess:
    """Started at once; ends with its supervisor, because it holds the other end of its standard input."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.errors = folder / "stderr.txt"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.distillation", str(folder), "--supervised"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment(settings),
                cwd=folder,
                start_new_session=True,
            )

    def exit_status(self) -> int | None:
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self) -> None:
        """Make sure that nothing of the group is left."""
        self.send(signal.SIGKILL)
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def last_words(self) -> str:
        """The last line of its standard error, at most 500 characters."""
        lines = self.errors.read_text(errors="replace").strip().splitlines()
        return lines[-1][-500:] if lines else ""

    def how_it_died(self) -> str:
        status = self.process.returncode
        if status is not None and status < 0:
            return f"The trainer was killed by {signal.Signals(-status).name}."
        return f"The trainer ended with status {status} without a word." + (f" {self.last_words()}" if self.last_words() else "")
