"""How much energy a job takes, where the machine counts it: NVML on NVIDIA GPUs, RAPL on processors. In joules."""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

SAMPLE_SECONDS = 5.0
"""RAPL's counters begin again at 0 after some minutes: they have to be looked at more often than that."""
POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"


@dataclass(frozen=True)
class Counter:
    """``read`` gives the joules since some moment in the past; ``range`` is where it begins again at 0, if it does."""

    read: Callable[[], float]
    wraps_at: float | None = None

    def difference(self, earlier: float, later: float) -> float:
        return (
            later - earlier
            if later >= earlier or self.wraps_at is None
            else later - earlier + self.wraps_at
        )


class Meter:
    """Adds up what its counters count. Whatever else uses the same GPU or processor is counted, too.

    ``source`` names the counters; None where there are none.
    """

    def __init__(self, counters: list[Counter], source: str | None) -> None:
        self.counters, self.source = counters, source if counters else None
        self.last = [counter.read() for counter in counters]
        self.last_sample = time.monotonic()
        self.sum: float | None = 0.0 if counters else None

    def sample(self) -> None:
        """Add what was counted since the last look. A counter that cannot be read any more makes the sum unknown for good."""
        if self.sum is None:
            return
        self.last_sample = time.monotonic()
        try:
            now = [counter.read() for counter in self.counters]
        except (OSError, ValueError):
            self.sum = self.source = None
            return
        self.sum += sum(
            it.difference(earlier, later)
            for it, earlier, later in zip(self.counters, self.last, now, strict=True)
        )
        self.last = now

    def sample_if_due(self) -> None:
        if time.monotonic() - self.last_sample >= SAMPLE_SECONDS:
            self.sample()

    def read_and_reset(self) -> float | None:
        """Joules since the last call, or since the beginning; None where they are not known."""
        self.sample()
        taken, self.sum = self.sum, None if self.sum is None else 0.0
        return taken


def make_meter(device: torch.device) -> Meter:
    """Of the processors, and of the device where it is an NVIDIA GPU; each where it can be read."""
    parts = [_of_gpu(device)] if device.type == "cuda" else []
    parts.append(_of_processors())
    found = [(counters, source) for counters, source in parts if counters]
    return Meter(
        [counter for counters, _ in found for counter in counters],
        " and ".join(source for _, source in found),
    )


def _of_gpu(device: torch.device) -> tuple[list[Counter], str]:
    # An index would not mean here what it means where CUDA_VISIBLE_DEVICES hides some.
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    try:
        return [gpu_counter(ctypes.CDLL(NVML), uuid)], "the GPU (NVML)"
    except (OSError, AttributeError):
        return [], ""


def gpu_counter(nvml: ctypes.CDLL, uuid: str) -> Counter:
    """Raises OSError where NVML does not know the GPU or its energy, AttributeError where it is too old to be asked."""
    _check(nvml.nvmlInit_v2())
    handle = ctypes.c_void_p()
    _check(nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)))

    def read() -> float:
        millijoules = ctypes.c_ulonglong()
        _check(nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)))
        return millijoules.value / 1000

    read()
    return Counter(read)


def _check(status: int) -> None:
    if status != 0:
        raise OSError(f"NVML answers {status}")


def _of_processors() -> tuple[list[Counter], str]:
    """The packages; their parts, such as intel-rapl:0:0, are counted in them already."""
    packages = [zone for zone in sorted(POWERCAP.glob("intel-rapl:*")) if zone.name.count(":") == 1]
    try:
        found = [_zone(zone) for zone in packages]
    except (OSError, ValueError):
        return [], ""
    return found, f"{len(found)} processor package{'s' if len(found) > 1 else ''} (RAPL)"


def _zone(zone: Path) -> Counter:
    def read() -> float:
        return int((zone / "energy_uj").read_text()) / 1e6

    read()
    return Counter(read, int((zone / "max_energy_range_uj").read_text()) / 1e6)
