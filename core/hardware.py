"""What a worker's machine has: models that workers write, and the API and its clients read."""

import os
import platform
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

DeviceKind = Literal["cpu", "cuda"]
FRAGMENTATION = 0.05
"""Share of a job's memory that the allocator reserves and cannot use."""
CONTEXT_BYTES = 2**30 * 3 // 4
"""Of a CUDA context with its libraries; a CPU's torch takes as much."""


class _Hardware(BaseModel):
    """Fields that a newer worker reports are ignored. Null: not reported."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Device(_Hardware):
    """What the trainers of a worker compute on."""

    kind: DeviceKind
    name: str | None = None
    """Model of the processor, with its number of cores, or of the GPU."""


class Gpu(_Hardware):
    """A GPU that trainers of the worker may use, as NVML describes it."""

    name: str
    memory_total: int | None = None
    """In bytes."""
    memory_used: int | None = None
    """In bytes, by all programs."""
    utilization: float | None = None
    """Share of the last second or so in which a kernel ran, in [0, 1]."""
    temperature: int | None = None
    """In degrees Celsius."""
    driver: str | None = None
    """Version of the NVIDIA driver."""


class Hardware(_Hardware):
    """The machine of a worker at its last heartbeat."""

    device: Device
    gpus: list[Gpu] | None = None
    """The GPUs that the worker may use; null where NVML cannot be read."""
    cores: int | None = None
    """Number of processor cores that the worker may use."""
    load: float | None = None
    """Processes that ran or waited to run, on average over the last minute, on the machine."""
    memory_total: int | None = None
    """Host memory that the worker may use, in bytes."""
    memory_used: int | None = None
    """Host memory in use on the machine, in bytes."""
    scratch_free: int | None = None
    """Free space of the worker's scratch folder, in bytes."""

    @property
    def device_memory(self) -> int | None:
        """Memory of the smallest device that a job may run on, in bytes; None if unknown."""
        if self.device.kind == "cpu":
            return self.memory_total
        sizes = [gpu.memory_total for gpu in self.gpus or [] if gpu.memory_total is not None]
        return min(sizes, default=None)

    def has_room_for(self, size: int) -> bool:
        """Return whether a job whose tensors take ``size`` bytes fits into the device's memory.

        In addition come the CUDA context, or Python and torch themselves, and what the allocator
        cannot use of what it has reserved.
        """
        total_bytes = self.device_memory
        needed_bytes = size * (1 + FRAGMENTATION) + CONTEXT_BYTES
        return total_bytes is not None and needed_bytes <= total_bytes


def processor_name() -> str:
    """Return the processor's model and number of cores, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores"
