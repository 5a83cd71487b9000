"""Exceptions that nobody foresaw, and the failure class that each is given."""

import errno

import pytest
import torch

from core.distillation.jobs.failures import classify_failure


def out_of_memory_error() -> RuntimeError:
    """Return the error that torch raises for a tensor that is too large for any machine."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    return caught.value


def test_out_of_memory_on_a_cpu_is_recognized() -> None:
    ended = classify_failure(out_of_memory_error())
    assert (ended.code, ended.failure_class) == ("out_of_memory", "infrastructure")


@pytest.mark.parametrize(
    ("error", "code", "failure_class"),
    [
        (MemoryError(), "out_of_memory", "infrastructure"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
            "out_of_memory",
            "infrastructure",
        ),
        (torch.AcceleratorError("CUDA error: out of memory"), "out_of_memory", "infrastructure"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
            "out_of_memory",
            "infrastructure",
        ),
        (RuntimeError("std::bad_alloc"), "out_of_memory", "infrastructure"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory", "infrastructure"),
        (
            torch.AcceleratorError("CUDA error: an illegal memory access"),
            "accelerator_error",
            "infrastructure",
        ),
        (
            RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
            "machine_error",
            "infrastructure",
        ),
        (RuntimeError("can't start new thread"), "machine_error", "infrastructure"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full", "infrastructure"),
        (OSError(errno.EIO, "Input/output error"), "io_error", "infrastructure"),
        (OSError(errno.EFBIG, "File too large"), "too_large", "user"),
        (RuntimeError("shapes do not fit"), "trainer_error", "user"),
        (ZeroDivisionError("division by zero"), "trainer_error", "user"),
    ],
)
def test_an_exception_has_its_code_and_failure_class(
    error: Exception, code: str, failure_class: str
) -> None:
    ended = classify_failure(error)
    assert (ended.outcome, ended.code, ended.failure_class) == ("failed", code, failure_class)
    assert ended.message
