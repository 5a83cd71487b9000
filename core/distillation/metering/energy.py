"""The energy that a job uses, in joules, where the machine counts it.

NVML counts it for NVIDIA GPUs, RAPL for processors.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

SAMPLE_SECONDS = 5.0
"""RAPL's counters wrap around after some minutes: they must be sampled more often than that."""
POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"


@dataclass(frozen=True)
class Counter:
    """An energy counter. ``read`` returns the joules since some moment in the past."""

    read: Callable[[], float]
    wraps_at: float | None = None
    """Joules at which the counter starts again from 0; None if it never does."""

    def difference(self, earlier: float, later: float) -> float:
        """Return the joules between two readings, between which it wrapped around at most once."""
        if later >= earlier or self.wraps_at is None:
            return later - earlier
        return later - earlier + self.wraps_at


class Meter:
    """The sum of several counters.

    Whatever else uses the same GPU or processor is counted too. ``source`` names the counters; it
    is None where there are none.
    """

    def __init__(self, counters: list[Counter], source: str | None) -> None:
        self.counters = counters
        self.source = source if counters else None
        self.readings = [counter.read() for counter in counters]
        self.sampled_at = time.monotonic()
        self.joules: float | None = 0.0 if counters else None

    def sample(self) -> None:
        """Add the energy since the last sample. If a counter fails, the sum stays unknown."""
        if self.joules is None:
            return
        self.sampled_at = time.monotonic()
        try:
            readings = [counter.read() for counter in self.counters]
        except (OSError, ValueError):
            self.joules = None
            self.source = None
            return
        self.joules += sum(
            counter.difference(earlier, later)
            for counter, earlier, later in zip(self.counters, self.readings, readings, strict=True)
        )
        self.readings = readings

    def sample_if_due(self) -> None:
        if time.monotonic() - self.sampled_at >= SAMPLE_SECONDS:
            self.sample()

    def read_and_reset(self) -> float | None:
        """Return the joules since the last call, or since the start; None if they are unknown."""
        self.sample()
        joules = self.joules
        if joules is not None:
            self.joules = 0.0
        return joules


def make_meter(device: torch.device) -> Meter:
    """Return a meter of the processors and, where ``device`` is an NVIDIA GPU, of the GPU.

    Whatever cannot be read is left out.
    """
    parts = [_gpu_counters(device)] if device.type == "cuda" else []
    parts.append(_processor_counters())
    readable = [(counters, source) for counters, source in parts if counters]
    return Meter(
        [counter for counters, _ in readable for counter in counters],
        " and ".join(source for _, source in readable),
    )


def _gpu_counters(device: torch.device) -> tuple[list[Counter], str]:
    # NVML's index of a GPU differs from torch's where CUDA_VISIBLE_DEVICES hides some GPUs.
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    try:
        return [gpu_counter(ctypes.CDLL(NVML), uuid)], "the GPU (NVML)"
    except (OSError, AttributeError):
        return [], ""


def gpu_counter(nvml: ctypes.CDLL, uuid: str) -> Counter:
    """Return the energy counter of a GPU.

    Raises OSError if NVML does not know the GPU or its energy, AttributeError if NVML is too old.
    """
    _check(nvml.nvmlInit_v2())
    handle = ctypes.c_void_p()
    _check(nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)))

    def read() -> float:
        millijoules = ctypes.c_ulonglong()
        _check(nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)))
        return millijoules.value / 1000

    read()  # raises OSError if the GPU does not count its energy
    return Counter(read)


def _check(status: int) -> None:
    if status != 0:
        raise OSError(f"NVML returned status {status}")


def _processor_counters() -> tuple[list[Counter], str]:
    """Return one counter per processor package.

    Zones within a package, such as intel-rapl:0:0, are part of its count.
    """
    packages = [zone for zone in sorted(POWERCAP.glob("intel-rapl:*")) if zone.name.count(":") == 1]
    try:
        counters = [_rapl_counter(zone) for zone in packages]
    except (OSError, ValueError):
        return [], ""
    plural = "s" if len(counters) > 1 else ""
    return counters, f"{len(counters)} processor package{plural} (RAPL)"


def _rapl_counter(zone: Path) -> Counter:
    def read() -> float:
        return int((zone / "energy_uj").read_text()) / 1e6

    read()  # raises OSError if the counter may not be read
    return Counter(read, int((zone / "max_energy_range_uj").read_text()) / 1e6)
