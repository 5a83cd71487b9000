"""How much energy a job takes, where the machine counts it: NVML on NVIDIA GPUs, RAPL on processors. In joules."""

import ctypes
import threading
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
    range: float | None = None

    def between(self, earlier: float, later: float) -> float:
        return later - earlier if later >= earlier or self.range is None else later - earlier + self.range


class EnergyMeter:
    """Counts from ``start`` to ``stop``, in a thread of its own.

    ``source`` says how it is measured, or why it is not; ``joules`` is None where it is not. Whatever else uses the same
    GPU or processor is counted, too.
    """

    def __init__(self, device: torch.device) -> None:
        self.counters, self.source = counters(device)
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.last: list[float] = []
        self.total: float | None = None

    def start(self) -> "EnergyMeter":
        if self.counters:
            self.last, self.total = [counter.read() for counter in self.counters], 0.0
            threading.Thread(target=self._watch, name="energy", daemon=True).start()
        return self

    def joules(self) -> float | None:
        """Since ``start``."""
        with self.lock:
            if self.total is not None and not self.ended.is_set():
                self.total = self._sampled(self.total)
            return self.total

    def stop(self) -> float | None:
        """All of it; nothing is added any more."""
        joules = self.joules()
        self.ended.set()
        return joules

    def _sampled(self, total: float) -> float | None:
        try:
            now = [counter.read() for counter in self.counters]
        except OSError as error:
            self.source = f"not known: the counter could not be read any more ({error})"
            return None
        steps = zip(self.counters, self.last, now, strict=True)
        total += sum(counter.between(earlier, later) for counter, earlier, later in steps)
        self.last = now
        return total

    def _watch(self) -> None:
        while not self.ended.wait(SAMPLE_SECONDS) and self.joules() is not None:
            pass


def counters(device: torch.device) -> tuple[list[Counter], str]:
    """What counts the device's energy, and in words; no counters, and why, where nothing does."""
    if device.type == "cuda":
        return _of_gpu(device)
    if device.type == "cpu":
        return _of_processor()
    return [], f"not known: nothing counts the energy of a {device.type} device"


def _of_gpu(device: torch.device) -> tuple[list[Counter], str]:
    try:
        nvml = ctypes.CDLL(NVML)
        _check(nvml.nvmlInit_v2())
        handle = ctypes.c_void_p()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"  # an index would not mean what CUDA_VISIBLE_DEVICES hides
        _check(nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)))

        def read() -> float:
            millijoules = ctypes.c_ulonglong()
            _check(nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)))
            return millijoules.value / 1000

        read()
    except (OSError, AttributeError) as error:
        return [], f"not known: NVML does not tell ({error})"
    return [Counter(read)], "NVML's energy counter of the GPU"


def _check(status: int) -> None:
    if status != 0:
        raise OSError(f"NVML answers {status}")


def _of_processor() -> tuple[list[Counter], str]:
    """The packages; their parts, such as intel-rapl:0:0, are counted in them already."""
    packages = [zone for zone in sorted(POWERCAP.glob("intel-rapl:*")) if zone.name.count(":") == 1]
    try:
        found = [_zone(zone) for zone in packages]
    except (OSError, ValueError) as error:
        return [], f"not known: RAPL cannot be read ({error})"
    if not found:
        return [], "not known: this processor, or this system, offers no RAPL counters"
    return found, f"RAPL's counters of {len(found)} processor package{'s' if len(found) > 1 else ''}, memory excluded"


def _zone(zone: Path) -> Counter:
    def read() -> float:
        return int((zone / "energy_uj").read_text()) / 1e6

    read()
    return Counter(read, int((zone / "max_energy_range_uj").read_text()) / 1e6)
