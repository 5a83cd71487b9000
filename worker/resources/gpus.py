"""The NVIDIA GPUs of this machine, through NVML: without torch, and without a CUDA context.

NVML comes with the package nvidia-ml-py. Where that or the driver is missing, nothing is reported.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from core.hardware import Gpu

try:
    import pynvml
except ImportError:
    pynvml = None

Value = TypeVar("Value")
DEVICE_FILE = "/dev/nvidiactl"


def list_gpus() -> list[Gpu] | None:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves; None where NVML cannot be read."""
    if pynvml is None:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        return [_describe(handle, driver) for handle in _visible_handles()]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def has_nvidia_driver() -> bool:
    """Return whether the kernel has NVIDIA's driver, also where NVML cannot be read."""
    return os.path.exists(DEVICE_FILE)  # noqa: PTH110 - also where /dev may not be listed


def _visible_handles() -> Iterator[Any]:
    """Yield NVML's handles of the GPUs that torch would see.

    An entry of CUDA_VISIBLE_DEVICES is an index or the beginning of a UUID; like CUDA, stop at the
    first that is neither. CUDA counts the fastest GPU first, NVML by bus: the order differs only on
    machines with unlike GPUs.
    """
    count = pynvml.nvmlDeviceGetCount()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        yield from map(pynvml.nvmlDeviceGetHandleByIndex, range(count))
        return
    for entry in filter(None, (part.strip() for part in visible.split(","))):
        handle = _find_handle(entry, count)
        if handle is None:
            return
        yield handle


def _find_handle(entry: str, count: int) -> Any:
    if entry.isdecimal():
        index = int(entry)
        return pynvml.nvmlDeviceGetHandleByIndex(index) if index < count else None
    if entry.startswith("MIG-"):
        return _read(lambda: pynvml.nvmlDeviceGetHandleByUUID(entry))
    for index in range(count):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        if entry.startswith("GPU-") and _text(pynvml.nvmlDeviceGetUUID(handle)).startswith(entry):
            return handle
    return None


def _describe(handle: Any, driver: str) -> Gpu:
    """Return what NVML tells of one GPU. A part of a GPU (MIG) has no utilization of its own."""
    memory = _read(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    utilization = _read(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    sensor = pynvml.NVML_TEMPERATURE_GPU
    return Gpu(
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_total=None if memory is None else int(memory.total),
        memory_used=None if memory is None else int(memory.used),
        utilization=None if utilization is None else utilization.gpu / 100,
        temperature=_read(lambda: int(pynvml.nvmlDeviceGetTemperature(handle, sensor))),
        driver=driver,
    )


def _read(read: Callable[[], Value]) -> Value | None:
    """Return None where this GPU or driver does not tell."""
    try:
        return read()
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    """Return text: older releases of nvidia-ml-py return bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
