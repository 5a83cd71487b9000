"""Whose fault an exception is that nobody foresaw."""

import re
from errno import EDQUOT, EFBIG, ENOMEM, ENOSPC

import torch

from core.errors import FailureClass
from core.job_folder import Ended

OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|bad_alloc|out of memory|STATUS_ALLOC_FAILED", re.IGNORECASE
)
MACHINE_FAULT = re.compile(r"CUDA|cuDNN|cuBLAS|NVIDIA|can't start new thread")
"""What torch says in a plain RuntimeError when the machine, not the job, is at fault."""


def classify_failure(error: Exception) -> Ended:
    """Whose fault it is: the machine's, as far as can be told, else the job's."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or _is_out_of_memory(error):
        return failed_event("out_of_memory", "infrastructure", f"Out of memory. {text}".rstrip())
    if isinstance(error, torch.AcceleratorError):
        return failed_event("accelerator_error", "infrastructure", f"The accelerator failed: {text}")
    if isinstance(error, OSError) and error.errno == EFBIG:
        return failed_event("too_large", "user", "It would write a larger file than it may.")
    if isinstance(error, OSError) and error.errno in {ENOSPC, EDQUOT}:
        return failed_event("storage_full", "infrastructure", "The disk of the worker is full.")
    if isinstance(error, OSError):
        return failed_event(
            "io_error", "infrastructure", f"Reading or writing failed: {error.strerror or error}."
        )
    if isinstance(error, RuntimeError) and MACHINE_FAULT.search(text):
        return failed_event("machine_error", "infrastructure", f"The machine failed: {text}")
    return failed_event(
        "trainer_error", "user", f"The trainer stopped with {type(error).__name__}: {text}"
    )


def _is_out_of_memory(error: Exception) -> bool:
    """torch's own allocators say it in a plain RuntimeError, the system by a number."""
    return (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None) or (
        isinstance(error, OSError) and error.errno == ENOMEM
    )


def failed_event(code: str, failure_class: FailureClass, message: str) -> Ended:
    return Ended(outcome="failed", code=code, failure_class=failure_class, message=message)
