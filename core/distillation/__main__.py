"""``python -m core.distillation FOLDER`` runs the job in a folder, with or without the service.

Exit status: 0 succeeded, 1 failed, 2 stopped on request. The last line of events.jsonl has details.
With ``--supervised`` it exits with status 3 as soon as its standard input closes: then its
supervisor has died.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from core.distillation.jobs.dataset_import import import_dataset
from core.distillation.jobs.event_lines import PrintingJobFolder
from core.distillation.jobs.failures import classify_failure, failed_event
from core.distillation.jobs.import_progress import ImportProgress, ImportStopped
from core.distillation.jobs.model_import import import_model
from core.errors import JobFailed, Refused
from core.job_folder import Ended, JobFolder
from core.jobspec.job import ImportDatasetSpec, ImportModelSpec
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedSpec

if TYPE_CHECKING:
    from core.distillation.jobs.run import JobRun

DEFAULT_IMPORT_SECONDS = 3600.0
EXIT_STATUS = {"succeeded": 0, "failed": 1, "stopped": 2}
SUPERVISOR_DIED = 3
"""The exit status without an outcome."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m core.distillation", description="Run the job in a folder."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--supervised", action="store_true", help="exit when standard input closes")
    arguments = parser.parse_args()
    if arguments.supervised:
        threading.Thread(target=exit_with_supervisor, daemon=True).start()
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    with contextlib.suppress(ValueError, KeyError):
        torch.set_num_threads(int(os.environ["DISTILL_THREADS"]))
    folder = PrintingJobFolder(arguments.folder)
    ended = run(folder, terminated)
    folder.emit(ended)
    if ended.message:
        print(ended.message, file=sys.stderr)
    return EXIT_STATUS[ended.outcome]


def run(folder: JobFolder, terminated: threading.Event) -> Ended:
    """Run the job, and return its last event whatever happens."""
    try:
        folder.output.mkdir(exist_ok=True)
        return run_job(folder, lambda: terminated.is_set() or folder.stop_reason() is not None)
    except ImportStopped:
        return folder.stopped_event()
    except Refused as error:
        return failed_event(error.code, "user", error.message)
    except JobFailed as error:
        return failed_event(error.code, error.failure_class, error.message)
    except Exception as error:
        traceback.print_exc()
        return classify_failure(error)


def run_job(folder: JobFolder, stop: Callable[[], bool]) -> Ended:
    """Run the job until it succeeds, or until ``stop()`` is true. Raises what goes wrong."""
    spec = folder.read_spec()
    if not isinstance(spec, ImportModelSpec | ImportDatasetSpec):
        return create_run(folder, spec, stop).run()
    seconds = float(os.environ.get("DISTILL_IMPORT_SECONDS", DEFAULT_IMPORT_SECONDS))
    progress = ImportProgress(folder, stop, seconds)
    if isinstance(spec, ImportModelSpec):
        import_model(folder, progress)
    else:
        import_dataset(folder, progress)
    return Ended(outcome="succeeded")


def create_run(folder: JobFolder, spec: ResolvedSpec, stop: Callable[[], bool]) -> "JobRun":
    """Return the run of a job that trains or evaluates."""
    # Imported here: they take half a second to import, which import jobs should not pay.
    from core.distillation.jobs.evaluation import EvaluationRun
    from core.distillation.jobs.training import TrainingRun

    if isinstance(spec, ResolvedEvaluationJobSpec):
        return EvaluationRun(folder, spec, stop)
    return TrainingRun(folder, spec, stop)


def exit_with_supervisor() -> None:
    """Exit when standard input closes: it is a pipe whose other end only the supervisor holds."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(SUPERVISOR_DIED)


if __name__ == "__main__":
    sys.exit(main())
