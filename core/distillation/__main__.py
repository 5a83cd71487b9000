"""``python -m core.distillation FOLDER``: runs the job in that folder, with or without the service around it.

Exit status: 0 succeeded, 1 failed, 2 stopped on request; the last line of events.jsonl says more.
With ``--supervised`` it ends at once when its standard input closes, that is, when its supervisor has died.
"""

import argparse
import contextlib
import errno
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from core.distillation.data.importing import import_dataset
from core.distillation.evaluation_job import EvaluationJob
from core.distillation.job import Job
from core.distillation.models.importing import import_model
from core.distillation.training_job import TrainingJob
from core.errors import FailureClass, JobFailed, Refused
from core.folder import Ended, JobFolder
from core.spec.job import EvaluationJob as EvaluationSpec
from core.spec.job import ImportDataset, ImportModel, Submitted

MACHINE_FAULT = re.compile(r"CUDA|cuDNN|cuBLAS|NVIDIA|can't allocate memory")
"""What torch says in a plain RuntimeError when the machine, not the job, is at fault."""
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
        spec = folder.read_spec()
        if isinstance(spec, ImportModel):
            import_model(folder)
        elif isinstance(spec, ImportDataset):
            import_dataset(folder)
        else:
            return job(folder, spec, lambda: signalled.is_set() or folder.stop_reason() is not None).run()
        return Ended(outcome="succeeded")
    except Refused as error:
        return failed(error.code, "user", error.message)
    except JobFailed as error:
        return failed(error.code, error.failure_class, error.message)
    except (torch.OutOfMemoryError, MemoryError) as error:
        return failed("out_of_memory", "infrastructure", f"Out of memory: {error} A smaller batch_size needs less.")
    except torch.AcceleratorError as error:
        traceback.print_exc()
        return failed("accelerator_error", "infrastructure", f"The accelerator failed: {error}")
    except OSError as error:
        traceback.print_exc()
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return failed("storage_full", "infrastructure", "The disk of the worker is full.")
        return failed("io_error", "infrastructure", f"Reading or writing failed: {error.strerror or error}.")
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, RuntimeError) and MACHINE_FAULT.search(str(error)):
            return failed("machine_error", "infrastructure", f"The machine failed: {error}")
        return failed("trainer_error", "user", f"The trainer stopped with {type(error).__name__}: {error}")


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
