"""Samples of this machine's hardware, taken beside the heartbeats.

NVML and file systems may hang, so that a thread of its own asks them: the worker's lease is renewed
all the same.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from core.hardware import Device, Gpu, Hardware, processor_name
from core.periodic import PeriodicThread
from core.settings import Settings
from worker.resources.gpus import has_nvidia_driver, list_gpus

CGROUP = Path("/sys/fs/cgroup")
FIRST_SAMPLE_SECONDS = 2.0
"""How long the first heartbeat waits for the first sample."""
STALE_HEARTBEATS = 3
"""After so many heartbeats without a new sample, nothing is reported."""
Value = TypeVar("Value")


class HardwareSampler:
    """Keeps the latest sample of the hardware."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._latest: Hardware | None = None
        self._sampled_at = 0.0
        self._has_sampled = threading.Event()

    def start(self, shutdown: threading.Event) -> None:
        """Sample with every heartbeat, until ``shutdown``."""
        PeriodicThread(
            "hardware",
            self.sample,
            self.settings.heartbeat_seconds,
            shutdown,
            failure="the hardware could not be read; trying again",
            first_delay_seconds=0.0,
        ).start()

    def sample(self) -> None:
        self._latest = read_hardware(self.settings)
        self._sampled_at = time.monotonic()
        self._has_sampled.set()

    def latest(self) -> Hardware | None:
        """Return the latest sample; None if it is too old, which means that something hangs."""
        self._has_sampled.wait(FIRST_SAMPLE_SECONDS)
        age_seconds = time.monotonic() - self._sampled_at
        if age_seconds > STALE_HEARTBEATS * self.settings.heartbeat_seconds + FIRST_SAMPLE_SECONDS:
            return None
        return self._latest


def read_hardware(settings: Settings) -> Hardware:
    """Return what can be read now; what cannot is None."""
    gpus = list_gpus()
    total_bytes, used_bytes = _read_memory()
    return Hardware(
        device=trainer_device(settings.device, gpus),
        gpus=gpus,
        cores=_or_none(lambda: len(os.sched_getaffinity(0))),
        load=_or_none(lambda: round(os.getloadavg()[0], 2)),
        memory_total=total_bytes,
        memory_used=used_bytes,
        scratch_free=_or_none(lambda: _free_bytes(settings.resolved_scratch_folder)),
    )


def trainer_device(setting: str, gpus: list[Gpu] | None) -> Device:
    """Return what trainers compute on, from DISTILL_DEVICE as they read it: auto, cpu, cuda:1, …

    Torch is not asked: importing it would take seconds and hundreds of MiB.
    """
    has_gpu = has_nvidia_driver() if gpus is None else bool(gpus)
    if setting == "cpu" or (setting == "auto" and not has_gpu):
        return Device(kind="cpu", name=processor_name())
    _, _, index = setting.partition(":")
    position = int(index) if index.isdecimal() else 0
    names = [gpu.name for gpu in gpus or []]
    return Device(kind="cuda", name=names[position] if position < len(names) else None)


def _read_memory() -> tuple[int | None, int | None]:
    """Return total and used host memory in bytes.

    In a container with a limit they are the container's, whose files in memory count as used.
    """
    memory = _or_none(psutil.virtual_memory)
    if memory is None:
        return None, None
    limit_bytes = _or_none(lambda: int((CGROUP / "memory.max").read_text()))
    if limit_bytes is not None and limit_bytes < memory.total:
        return limit_bytes, _or_none(lambda: int((CGROUP / "memory.current").read_text()))
    return int(memory.total), int(memory.total - memory.available)


def _free_bytes(folder: Path) -> int:
    """Return the free space of a folder, or of its closest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _or_none(read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except (OSError, ValueError, AttributeError):
        return None
