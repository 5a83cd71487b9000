"""The failure class of an unexpected exception: whether the job or the machine is at fault."""

import re
from errno import EDQUOT, EFBIG, ENOMEM, ENOSPC

import torch

from core.errors import FailureClass
from core.job_folder import Ended

OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|bad_alloc|out of memory|STATUS_ALLOC_FAILED", re.IGNORECASE
)
MACHINE_FAULT = re.compile(r"CUDA|cuDNN|cuBLAS|NVIDIA|can't start new thread")
"""Found in torch's plain RuntimeErrors when the machine is at fault, not the job."""


def classify_failure(error: Exception) -> Ended:
    """Return the last event of a job that ended with ``error``.

    The machine is at fault where that can be recognized, otherwise the job.
    """
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or _is_out_of_memory(error):
        return failed_event("out_of_memory", "infrastructure", f"Out of memory. {text}".rstrip())
    if isinstance(error, torch.AcceleratorError):
        message = f"The accelerator failed: {text}"
        return failed_event("accelerator_error", "infrastructure", message)
    if isinstance(error, OSError):
        return _classify_os_error(error)
    if isinstance(error, RuntimeError) and MACHINE_FAULT.search(text):
        return failed_event("machine_error", "infrastructure", f"The machine failed: {text}")
    message = f"The trainer stopped with {type(error).__name__}: {text}"
    return failed_event("trainer_error", "user", message)


def _classify_os_error(error: OSError) -> Ended:
    if error.errno == EFBIG:
        message = "The job tried to write a file that is larger than allowed."
        return failed_event("too_large", "user", message)
    if is_storage_full(error):
        return failed_event("storage_full", "infrastructure", "The disk of the worker is full.")
    message = f"Reading or writing failed: {error.strerror or error}."
    return failed_event("io_error", "infrastructure", message)


def is_storage_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in {ENOSPC, EDQUOT}


def _is_out_of_memory(error: Exception) -> bool:
    """torch's allocators raise a plain RuntimeError; the system sets an error number."""
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None


def failed_event(code: str, failure_class: FailureClass, message: str) -> Ended:
    return Ended(outcome="failed", code=code, failure_class=failure_class, message=message)
