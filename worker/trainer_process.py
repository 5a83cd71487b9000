"""One trainer: a fresh interpreter on one job folder, in a process group of its own, without the
service's credentials.

A trainer that opens an upload has no network either, and limited memory, files and time.
"""

import os
import signal
import site
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from core.job_folder import JobFolder
from core.jobspec.job import ImportDatasetSpec, ImportModelSpec
from core.jobspec.resolved import JobSpec
from core.settings import Settings
from core.store.logs import Stream
from worker.logs.pipe_reader import PipeReader

INHERITED_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONHASHSEED",
)
INHERITED_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "TORCH_")
DOWNLOAD_PREFIXES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT")
"""Inherited by downloads only: the URL of a proxy may contain a password."""
MAX_IMPORTED_FILE_BYTES = 32 * 2**30
"""Of one file that an import writes. What it unpacks is limited to half of this."""
MAX_OPEN_IMPORT_FILES = 256
MAX_QUOTED_CHARACTERS = 500
"""Of the last line of standard error."""


def trainer_environment(folder: Path, settings: Settings, spec: JobSpec) -> dict[str, str]:
    """Return the trainer's environment: without database, broker, object store and home."""
    is_download = isinstance(spec, ImportDatasetSpec) and spec.source == "download"
    prefixes = INHERITED_PREFIXES + (DOWNLOAD_PREFIXES if is_download else ())
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED_VARIABLES or name.upper().startswith(prefixes)
    }
    if site.ENABLE_USER_SITE:  # packages installed in the real home are found all the same
        environment["PYTHONUSERBASE"] = site.getuserbase()
    environment |= {
        "HOME": str(folder),
        "DISTILL_DEVICE": settings.device,
        "DISTILL_IMPORT_SECONDS": str(settings.import_seconds),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "PYTHONUNBUFFERED": "1",
    }
    if settings.threads:
        environment["DISTILL_THREADS"] = str(settings.threads)
    return environment


def sandbox_options(spec: JobSpec, settings: Settings) -> list[str]:
    """Return the restrictions of the trainer, as options of ``worker.sandbox``."""
    limits = {"CORE": 0}
    memory_bytes = settings.trainer_memory_bytes
    if isinstance(spec, ImportModelSpec | ImportDatasetSpec):
        memory_bytes = settings.import_memory_bytes
        limits["NOFILE"] = MAX_OPEN_IMPORT_FILES
    if memory_bytes:
        limits["DATA"] = memory_bytes
    opens_upload = isinstance(spec, ImportModelSpec) or (
        isinstance(spec, ImportDatasetSpec) and spec.source == "upload"
    )
    if opens_upload:
        limits["FSIZE"] = MAX_IMPORTED_FILE_BYTES
    return [
        *(["--offline"] if opens_upload else []),
        *(f"--limit={name}={number}" for name, number in limits.items()),
    ]


class TrainerProcess:
    """A running trainer: the constructor starts it, ``__exit__`` kills what is left of it.

    It also ends when its supervisor does, which holds the other end of its standard input.
    """

    def __init__(
        self, folder: JobFolder, settings: Settings, write: Callable[[Stream, bytes], None]
    ) -> None:
        """``write`` gets what the trainer prints, in a thread of its own; b"" at a stream's end."""
        spec = folder.read_spec()
        python = (sys.executable, "-P", "-m")
        sandbox = (*python, "worker.sandbox", *sandbox_options(spec, settings))
        self.process = subprocess.Popen(
            [*sandbox, *python, "core.distillation", str(folder.path), "--supervised"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A group of its own, so that a signal reaches what the trainer starts, too.
            start_new_session=True,
            env=trainer_environment(folder.path, settings, spec),
            cwd=folder.path,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        pipes: dict[Stream, IO[bytes]] = {
            "stdout": self.process.stdout,
            "stderr": self.process.stderr,
        }
        self.output = PipeReader(pipes, write)
        self.output.start()

    def __enter__(self) -> "TrainerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def exit_status(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        return self.process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill whatever is left of its process group, and read what is left of its output."""
        self.send_signal(signal.SIGKILL)
        self.process.wait()
        self.output.finish()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def describe_exit(self) -> str:
        """Return a sentence that says how it ended, with the last line of its standard error."""
        status = self.process.returncode
        if status is not None and status < 0:
            return f"The trainer was killed by {signal.Signals(-status).name}."
        sentence = f"The trainer exited with status {status} without reporting a failure."
        last_line = self.output.last_error_line()[-MAX_QUOTED_CHARACTERS:]
        return f"{sentence} {last_line}" if last_line else sentence
