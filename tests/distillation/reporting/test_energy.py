"""Energy as the machine's own counters tell it, on counters that are files here."""

import threading
from pathlib import Path

import pytest
import torch

from core.distillation import energy
from core.distillation.energy import Counter, EnergyMeter

CPU = torch.device("cpu")


def zone(folder: Path, name: str, joules: float, most: float = 1000.0) -> Path:
    made = folder / name
    made.mkdir(parents=True, exist_ok=True)
    (made / "energy_uj").write_text(str(round(joules * 1e6)))
    (made / "max_energy_range_uj").write_text(str(round(most * 1e6)))
    return made


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def test_packages_are_added_up_and_their_parts_are_not_counted_twice(powercap: Path) -> None:
    zone(powercap, "intel-rapl:0", 10), zone(powercap, "intel-rapl:1", 100), zone(powercap, "intel-rapl:0:0", 5)
    meter = EnergyMeter(CPU).start()
    zone(powercap, "intel-rapl:0", 12), zone(powercap, "intel-rapl:1", 103), zone(powercap, "intel-rapl:0:0", 900)
    assert meter.joules() == pytest.approx(5)
    assert meter.source == "RAPL's counters of 2 processor packages, memory excluded"


def test_a_counter_that_begins_again_at_0_loses_nothing(powercap: Path) -> None:
    zone(powercap, "intel-rapl:0", 990, most=1000)
    meter = EnergyMeter(CPU).start()
    for joules, total in ((995, 5), (3, 13), (3, 13), (10, 20)):
        zone(powercap, "intel-rapl:0", joules, most=1000)
        assert meter.joules() == pytest.approx(total)


def test_a_machine_without_counters_says_so(powercap: Path) -> None:
    meter = EnergyMeter(CPU).start()
    assert meter.joules() is None
    assert meter.source.startswith("not known:")


def test_a_counter_that_may_not_be_read_is_no_counter(powercap: Path) -> None:
    (zone(powercap, "intel-rapl:0", 1) / "energy_uj").unlink()
    meter = EnergyMeter(CPU).start()
    assert meter.joules() is None
    assert "RAPL cannot be read" in meter.source


def test_a_counter_that_is_gone_half_way_makes_the_sum_unknown(powercap: Path) -> None:
    made = zone(powercap, "intel-rapl:0", 1)
    meter = EnergyMeter(CPU).start()
    assert meter.joules() == 0
    (made / "energy_uj").unlink()
    assert meter.joules() is None
    assert "could not be read any more" in meter.source


def test_nothing_is_added_after_the_end(powercap: Path) -> None:
    zone(powercap, "intel-rapl:0", 1)
    meter = EnergyMeter(CPU).start()
    zone(powercap, "intel-rapl:0", 3)
    assert meter.stop() == pytest.approx(2)
    zone(powercap, "intel-rapl:0", 9)
    assert meter.joules() == pytest.approx(2)


def test_a_counter_is_followed_while_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It turns over twice, which one reading at the end could not tell."""
    values, all_read = iter([900.0, 100.0, 900.0, 100.0]), threading.Event()

    def read() -> float:
        value = next(values, None)
        if value is None:
            all_read.set()
        return 100.0 if value is None else value

    monkeypatch.setattr(energy, "counters", lambda _: ([Counter(read, range=1000.0)], "a test"))
    monkeypatch.setattr(energy, "SAMPLE_SECONDS", 0.001)
    meter = EnergyMeter(CPU).start()
    assert all_read.wait(30)
    assert meter.stop() == pytest.approx(200 + 800 + 200)


def test_before_the_start_nothing_is_counted(powercap: Path) -> None:
    zone(powercap, "intel-rapl:0", 1)
    assert EnergyMeter(CPU).joules() is None


def test_a_device_of_another_kind_is_not_known() -> None:
    assert EnergyMeter(torch.device("meta")).start().joules() is None


def test_a_counter_without_an_end_only_rises() -> None:
    assert Counter(lambda: 0.0).between(1.0, 4.0) == 3.0


@pytest.mark.gpu
def test_a_gpu_counts_what_it_takes() -> None:
    meter = EnergyMeter(torch.device("cuda")).start()
    square = torch.ones(4096, 4096, device="cuda")
    for _ in range(200):
        square = square @ square / 4096
    torch.cuda.synchronize()
    joules = meter.joules()
    assert joules is not None, meter.source
    assert joules > 0
