"""Energy as the machine's own counters tell it, on counters that are files or a library made up here."""

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


def zone(folder: Path, name: str, joules: float, most: float = 1000.0) -> Path:
    made = folder / name
    made.mkdir(parents=True, exist_ok=True)
    (made / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (made / "max_energy_range_uj").write_text(f"{round(most * 1e6)}\n")
    return made


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def test_packages_are_added_up_and_their_parts_are_not_counted_twice(powercap: Path) -> None:
    (
        zone(powercap, "intel-rapl:0", 10),
        zone(powercap, "intel-rapl:1", 100),
        zone(powercap, "intel-rapl:0:0", 5),
    )
    it = make_meter(CPU)
    (
        zone(powercap, "intel-rapl:0", 12),
        zone(powercap, "intel-rapl:1", 103),
        zone(powercap, "intel-rapl:0:0", 900),
    )
    assert it.read_and_reset() == pytest.approx(5)
    assert it.source == "2 processor packages (RAPL)"
    assert it.read_and_reset() == 0


def test_a_counter_that_begins_again_at_0_loses_nothing(powercap: Path) -> None:
    zone(powercap, "intel-rapl:0", 990, most=1000)
    it = make_meter(CPU)
    for joules, total in ((995, 5), (3, 13), (3, 13), (10, 20)):
        zone(powercap, "intel-rapl:0", joules, most=1000)
        it.sample()
        assert it.sum == pytest.approx(total)


def test_a_machine_without_counters_knows_nothing(powercap: Path) -> None:
    it = make_meter(CPU)
    assert (it.read_and_reset(), it.source) == (None, None)


def test_a_counter_that_may_not_be_read_is_no_counter(powercap: Path) -> None:
    (zone(powercap, "intel-rapl:0", 1) / "energy_uj").unlink()
    assert make_meter(CPU).read_and_reset() is None


def test_a_counter_that_is_gone_half_way_makes_the_sum_unknown(powercap: Path) -> None:
    made = zone(powercap, "intel-rapl:0", 1)
    it = make_meter(CPU)
    (made / "energy_uj").unlink()
    assert it.read_and_reset() is None
    zone(powercap, "intel-rapl:0", 2)
    assert it.read_and_reset() is None


def test_a_long_phase_is_looked_at_in_between(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter turns over twice, which one reading at the end could not tell."""
    monkeypatch.setattr(energy, "LOOK_SECONDS", 0.0)
    zone(powercap, "intel-rapl:0", 900)
    watch, state = Stopwatch(make_meter(CPU)), RunState()
    for joules in (100, 900, 100):
        zone(powercap, "intel-rapl:0", joules)
        assert not watch.checkpoint_due(1000)
    watch.record_phase(state, "training")
    assert state.joules == {"training": pytest.approx(200 + 800 + 200)}


def test_attempts_add_up_and_one_that_does_not_know_makes_the_sum_unknown() -> None:
    values = iter([0.0, 5.0, 9.0, 0.0, 1.0])
    state, counter = RunState(), Counter(lambda: next(values))
    first = Stopwatch(Meter([counter], "a counter"))
    first.record_phase(state, "training")
    first.record_phase(state, "evaluating")
    Stopwatch(Meter([counter], "a counter")).record_phase(state, "evaluating")
    assert state.joules == {"training": 5.0, "evaluating": 5.0}
    Stopwatch(Meter([], None)).record_phase(state, "evaluating")
    assert state.joules == {"training": 5.0, "evaluating": None}


class FakeNvml:
    """As much of libnvidia-ml as is asked; ``status`` is what reading the energy answers."""

    def __init__(self, status: int = 0) -> None:
        self.status, self.millijoules, self.asked_for = status, 5000, b""

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        self.asked_for = uuid
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0] = 42
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, found: Any) -> int:
        assert handle.value == 42
        ctypes.cast(found, ctypes.POINTER(ctypes.c_ulonglong))[0] = self.millijoules
        return self.status


def test_a_gpu_is_found_by_its_uuid_and_counts_in_millijoules() -> None:
    nvml: Any = FakeNvml()
    it = Meter([gpu_counter(nvml, "GPU-1")], "the GPU (NVML)")
    nvml.millijoules = 6500
    assert (it.read_and_reset(), nvml.asked_for) == (1.5, b"GPU-1")


def test_a_gpu_that_does_not_count_is_an_error_of_the_library() -> None:
    nvml: Any = FakeNvml(status=3)
    with pytest.raises(OSError, match="NVML answers 3"):
        gpu_counter(nvml, "GPU-1")


@pytest.mark.gpu
def test_a_gpu_counts_what_it_takes() -> None:
    it = make_meter(torch.device("cuda"))
    square = torch.ones(4096, 4096, device="cuda")
    for _ in range(200):
        square = square @ square / 4096
    torch.cuda.synchronize()
    joules = it.read_and_reset()
    assert it.source is not None
    assert "NVML" in it.source
    assert joules is not None
    assert joules > 0
