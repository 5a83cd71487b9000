"""``python -m core.distillation FOLDER``: runs the job in that folder, with or without the service around it.

Exit status: 0 succeeded, 1 failed, 2 stopped on request; the last line of events.jsonl says more.
With ``--supervised`` it ends at once when its standard input closes, that is, when its supervisor has died.
"""

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from errno import EFBIG, ENOMEM
from pathlib import Path

import torch

from core.distillation.data.importing import import_dataset
from core.distillation.evaluation_job import EvaluationJob
from core.distillation.import_progress import ImportProgress, Stopped
from core.distillation.job import Job
from core.distillation.models.importing import import_model
from core.distillation.training_job import TrainingJob
from core.errors import FailureClass, JobFailed, Refused
from core.folder import Ended, JobFolder
from core.spec.job import EvaluationJob as EvaluationSpec
from core.spec.job import ImportDataset, ImportModel, Submitted

OUT_OF_MEMORY = re.compile(r"can't allocate memory|bad_alloc|out of memory|STATUS_ALLOC_FAILED", re.IGNORECASE)
MACHINE_FAULT = re.compile(r"CUDA|cuDNN|cuBLAS|NVIDIA|can't start new thread")
"""What torch says in a plain RuntimeError when the machine, not the job, is at fault."""
DEFAULT_IMPORT_SECONDS = 3600.0
EXIT = {"succeeded": 0, "failed": 1, "stopped": 2}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m core.distillation", description="Run the job in a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--supervised", action="store_true", help="end when standard input closes")
    arguments = parser.parse_args()
    if arguments.supervised:
        threading.Thread(target=end_with_supervisor, daemon=True).start()
    signalled = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: signalled.set())
    with contextlib.suppress(ValueError, KeyError):
        torch.set_num_threads(int(os.environ["DISTILL_THREADS"]))
    folder = JobFolder(arguments.folder)
    ended = run(folder, signalled)
    folder.say(ended)
    if ended.message:
        print(ended.message, file=sys.stderr)
    return EXIT[ended.outcome]


def run(folder: JobFolder, signalled: threading.Event) -> Ended:
    """The job's end, whatever happens in it."""
    try:
        folder.output.mkdir(exist_ok=True)
        return carry_out(folder, lambda: signalled.is_set() or folder.stop_reason() is not None)
    except Stopped:
        return Ended(outcome="stopped", message=f"Stopped on request ({folder.stop_reason() or 'signal'}).")
    except Refused as error:
        return failed(error.code, "user", error.message)
    except JobFailed as error:
        return failed(error.code, error.failure_class, error.message)
    except Exception as error:
        traceback.print_exc()
        return diagnosis(error)


def carry_out(folder: JobFolder, stop: Callable[[], bool]) -> Ended:
    spec = folder.read_spec()
    if not isinstance(spec, ImportModel | ImportDataset):
        return job(folder, spec, stop).run()
    progress = ImportProgress(folder, stop, float(os.environ.get("DISTILL_IMPORT_SECONDS", DEFAULT_IMPORT_SECONDS)))
    if isinstance(spec, ImportModel):
        import_model(folder, progress)
    else:
        import_dataset(folder, progress)
    return Ended(outcome="succeeded")


def diagnosis(error: Exception) -> Ended:
    """Whose fault it is: the machine's, as far as can be told, else the job's."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or is_out_of_memory(error):
        return failed("out_of_memory", "infrastructure", f"Out of memory: {text}")
    if isinstance(error, torch.AcceleratorError):
        return failed("accelerator_error", "infrastructure", f"The accelerator failed: {text}")
    if isinstance(error, OSError) and error.errno == EFBIG:
        return failed("too_large", "user", "It would write a larger file than it may.")
    if isinstance(error, OSError):
        return failed("io_error", "infrastructure", f"Reading or writing failed: {error.strerror or error}.")
    if isinstance(error, RuntimeError) and MACHINE_FAULT.search(text):
        return failed("machine_error", "infrastructure", f"The machine failed: {text}")
    return failed("trainer_error", "user", f"The trainer stopped with {type(error).__name__}: {text}")


def is_out_of_memory(error: Exception) -> bool:
    """torch's own allocators say it in a plain RuntimeError, the system by a number."""
    return (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None) or (
        isinstance(error, OSError) and error.errno == ENOMEM
    )


def job(folder: JobFolder, spec: Submitted, stop: Callable[[], bool]) -> Job:
    """A job at work in its folder."""
    return EvaluationJob(folder, spec, stop) if isinstance(spec, EvaluationSpec) else TrainingJob(folder, spec, stop)


def failed(code: str, failure_class: FailureClass, message: str) -> Ended:
    return Ended(outcome="failed", code=code, failure_class=failure_class, message=message)


def end_with_supervisor() -> None:
    """Standard input is a pipe that only the supervisor holds open."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
