"""One trainer: a fresh interpreter, in a process group of its own, on one job folder, without the service's credentials.

One that opens what a stranger sent has no network either, and bounded memory, files and time.
"""

import os
import signal
import site
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from core.job_folder import JobFolder
from core.jobspec.job import ImportDatasetSpec, ImportModelSpec
from core.jobspec.resolved import JobSpec
from core.settings import Settings

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHASHSEED")
PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "TORCH_")
WAY_OUT_PREFIXES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT")
"""For downloads alone: a proxy's address may hold a password."""
LARGEST_IMPORTED_BYTES = 32 * 2**30
"""Of one file that an import writes; what it unpacks is bounded by half of this."""
MOST_IMPORT_FILES = 256
"""Open at once."""


def trainer_environment(folder: Path, settings: Settings, spec: JobSpec) -> dict[str, str]:
    """What the trainer may know: no database, no broker, no object store, and nobody's home."""
    downloads = isinstance(spec, ImportDatasetSpec) and spec.source == "download"
    prefixes = PASSED_ON_PREFIXES + (WAY_OUT_PREFIXES if downloads else ())
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.upper().startswith(prefixes)
    }
    if site.ENABLE_USER_SITE:  # what is installed in the home is found all the same
        passed["PYTHONUSERBASE"] = site.getuserbase()
    ours = {
        "HOME": str(folder),
        "DISTILL_DEVICE": settings.device,
        "DISTILL_IMPORT_SECONDS": str(settings.import_seconds),
        "PYTHONUNBUFFERED": "1",
    }
    return passed | ours | ({"DISTILL_THREADS": str(settings.threads)} if settings.threads else {})


def sandbox_options(spec: JobSpec, settings: Settings) -> list[str]:
    """How the trainer is confined, as options of ``worker.sandbox``."""
    limits = {"CORE": 0}
    memory_bytes = settings.trainer_memory_bytes
    if isinstance(spec, ImportModelSpec | ImportDatasetSpec):
        memory_bytes = settings.import_memory_bytes
        limits["NOFILE"] = MOST_IMPORT_FILES
    if memory_bytes:
        limits["DATA"] = memory_bytes
    strangers = isinstance(spec, ImportModelSpec) or (
        isinstance(spec, ImportDatasetSpec) and spec.source == "upload"
    )
    if strangers:
        limits["FSIZE"] = LARGEST_IMPORTED_BYTES
    return [
        *(["--offline"] if strangers else []),
        *(f"--limit={name}={number}" for name, number in limits.items()),
    ]


class TrainerProcess:
    """Started at once; ends with its supervisor, because it holds the other end of its standard input."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.errors = folder / "stderr.txt"
        spec = JobFolder(folder).read_spec()
        python = (sys.executable, "-P", "-m")
        confined = (*python, "worker.sandbox", *sandbox_options(spec, settings))
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*confined, *python, "core.distillation", str(folder), "--supervised"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=trainer_environment(folder, settings, spec),
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
        return f"The trainer ended with status {status} without a word." + (
            f" {self.last_words()}" if self.last_words() else ""
        )
