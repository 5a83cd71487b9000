"""Energy as the machine's counters measure it; here the counters are files, or a fake library."""

import ctypes
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation.metering import energy
from core.distillation.metering.energy import Counter, Meter, gpu_counter, make_meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.run_state import RunState

CPU = torch.device("cpu")


def write_zone(folder: Path, name: str, joules: float, wraps_at: float = 1000.0) -> Path:
    """Write a RAPL zone as Linux shows it."""
    zone = folder / name
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (zone / "max_energy_range_uj").write_text(f"{round(wraps_at * 1e6)}\n")
    return zone


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def test_packages_are_added_up_without_their_subzones(powercap: Path) -> None:
    """A package's own count contains its subzones."""
    write_zone(powercap, "intel-rapl:0", 10)
    write_zone(powercap, "intel-rapl:1", 100)
    write_zone(powercap, "intel-rapl:0:0", 5)
    meter = make_meter(CPU)
    write_zone(powercap, "intel-rapl:0", 12)
    write_zone(powercap, "intel-rapl:1", 103)
    write_zone(powercap, "intel-rapl:0:0", 900)
    assert meter.read_and_reset() == pytest.approx(5)
    assert meter.source == "2 processor packages (RAPL)"
    assert meter.read_and_reset() == 0


def test_a_counter_that_wraps_around_loses_nothing(powercap: Path) -> None:
    write_zone(powercap, "intel-rapl:0", 990, wraps_at=1000)
    meter = make_meter(CPU)
    for joules, total in ((995, 5), (3, 13), (3, 13), (10, 20)):
        write_zone(powercap, "intel-rapl:0", joules, wraps_at=1000)
        meter.sample()
        assert meter.joules == pytest.approx(total)


def test_energy_is_unknown_without_counters(powercap: Path) -> None:
    meter = make_meter(CPU)
    assert (meter.read_and_reset(), meter.source) == (None, None)


def test_an_unreadable_counter_is_ignored(powercap: Path) -> None:
    (write_zone(powercap, "intel-rapl:0", 1) / "energy_uj").unlink()
    assert make_meter(CPU).read_and_reset() is None


def test_a_counter_that_disappears_makes_the_sum_unknown(powercap: Path) -> None:
    zone = write_zone(powercap, "intel-rapl:0", 1)
    meter = make_meter(CPU)
    (zone / "energy_uj").unlink()
    assert meter.read_and_reset() is None
    write_zone(powercap, "intel-rapl:0", 2)
    assert meter.read_and_reset() is None


def test_a_long_phase_is_sampled_in_between(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter wraps around twice, which a single reading at the end could not tell."""
    monkeypatch.setattr(energy, "SAMPLE_SECONDS", 0.0)
    write_zone(powercap, "intel-rapl:0", 900)
    stopwatch = Stopwatch(make_meter(CPU))
    state = RunState()
    for joules in (100, 900, 100):
        write_zone(powercap, "intel-rapl:0", joules)
        assert not stopwatch.checkpoint_due(1000)
    stopwatch.record_phase(state, "training")
    assert state.joules == {"training": pytest.approx(200 + 800 + 200)}


def test_the_energy_of_attempts_is_added_up() -> None:
    """An attempt that does not know its energy makes the sum unknown."""
    values = iter([0.0, 5.0, 9.0, 0.0, 1.0])
    state = RunState()
    counter = Counter(lambda: next(values))
    first = Stopwatch(Meter([counter], "a counter"))
    first.record_phase(state, "training")
    first.record_phase(state, "evaluating")
    Stopwatch(Meter([counter], "a counter")).record_phase(state, "evaluating")
    assert state.joules == {"training": 5.0, "evaluating": 5.0}
    Stopwatch(Meter([], None)).record_phase(state, "evaluating")
    assert state.joules == {"training": 5.0, "evaluating": None}


class FakeNvml:
    """The functions of libnvidia-ml that are used. ``status`` is returned with the energy."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.millijoules = 5000
        self.uuid = b""

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        self.uuid = uuid
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0] = 42
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, energy: Any) -> int:
        assert handle.value == 42
        ctypes.cast(energy, ctypes.POINTER(ctypes.c_ulonglong))[0] = self.millijoules
        return self.status


def test_a_gpu_is_identified_by_uuid_and_counts_millijoules() -> None:
    nvml: Any = FakeNvml()
    meter = Meter([gpu_counter(nvml, "GPU-1")], "the GPU (NVML)")
    nvml.millijoules = 6500
    assert (meter.read_and_reset(), nvml.uuid) == (1.5, b"GPU-1")


def test_a_gpu_that_does_not_count_raises_an_error() -> None:
    nvml: Any = FakeNvml(status=3)
    with pytest.raises(OSError, match="NVML returned status 3"):
        gpu_counter(nvml, "GPU-1")


@pytest.mark.gpu
def test_a_gpu_counts_its_energy() -> None:
    meter = make_meter(torch.device("cuda"))
    matrix = torch.ones(4096, 4096, device="cuda")
    for _ in range(200):
        matrix = matrix @ matrix / 4096
    torch.cuda.synchronize()
    joules = meter.read_and_reset()
    assert meter.source is not None
    assert "NVML" in meter.source
    assert joules is not None
    assert joules > 0
