"""What workers report of their machine, without torch."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.hardware import Gpu, Hardware
from core.settings import Settings
from worker.resources import gpus, hardware
from worker.resources.hardware import HardwareSampler, read_hardware, trainer_device

H200 = Gpu(name="NVIDIA H200", memory_total=150 * 2**30)
L4 = Gpu(name="NVIDIA L4", memory_total=24 * 2**30)


class NvmlError(Exception):
    pass


class FakeNvml:
    """NVML with two GPUs, of which the second tells neither its utilization nor its temperature."""

    NVMLError = NvmlError
    NVML_TEMPERATURE_GPU = 0
    names = ("NVIDIA H200", b"NVIDIA L4")
    uuids = ("GPU-aaaa-1", "GPU-bbbb-2")

    def nvmlInit(self) -> None:
        pass

    nvmlShutdown = nvmlInit

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return self.uuids[handle]

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:
        return self.names[handle]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return type("Memory", (), {"total": 100, "used": 10 + handle})

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        if handle == 1:
            raise NvmlError
        return type("Rates", (), {"gpu": 87})

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        if handle == 1:
            raise NvmlError
        return 64


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "pynvml", FakeNvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("nvml")
def test_a_gpu_reports_what_nvml_tells() -> None:
    first, second = gpus.list_gpus() or []
    assert first == Gpu(
        name="NVIDIA H200",
        memory_total=100,
        memory_used=10,
        utilization=0.87,
        temperature=64,
        driver="580.1",
    )
    assert (second.name, second.utilization, second.temperature) == ("NVIDIA L4", None, None)


@pytest.mark.usefixtures("nvml")
@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["NVIDIA L4"]),
        ("1,0", ["NVIDIA L4", "NVIDIA H200"]),
        ("GPU-bbbb", ["NVIDIA L4"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["NVIDIA H200"]),
    ],
)
def test_hidden_gpus_are_not_reported(
    monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name for gpu in gpus.list_gpus() or []] == names


@pytest.mark.parametrize("pynvml", [None, "broken"])
def test_without_nvml_nothing_is_reported(monkeypatch: pytest.MonkeyPatch, pynvml: object) -> None:
    module = None
    if pynvml is not None:
        module = FakeNvml()

        def fail() -> None:
            raise NvmlError

        monkeypatch.setattr(module, "nvmlInit", fail)
    monkeypatch.setattr(gpus, "pynvml", module)
    assert gpus.list_gpus() is None


@pytest.mark.parametrize(
    ("setting", "listed", "expected"),
    [
        ("auto", [H200], ("cuda", "NVIDIA H200")),
        ("cuda:1", [H200, L4], ("cuda", "NVIDIA L4")),
        ("cuda", None, ("cuda", None)),
        ("cuda:3", [H200], ("cuda", None)),
    ],
)
def test_device_is_the_one_trainers_use(
    setting: str, listed: list[Gpu] | None, expected: tuple[str, str | None]
) -> None:
    device = trainer_device(setting, listed)
    assert (device.kind, device.name) == expected


@pytest.mark.parametrize(("setting", "listed"), [("cpu", [H200]), ("auto", [])])
def test_a_worker_without_gpu_reports_its_processor(setting: str, listed: list[Gpu]) -> None:
    device = trainer_device(setting, listed)
    assert device.kind == "cpu"
    assert device.name is not None
    assert device.name.endswith(" cores")


def test_this_machine_is_reported(tmp_path: Path) -> None:
    sample = read_hardware(Settings(home=tmp_path / "not" / "yet", device="cpu"))
    assert sample.cores is not None
    assert 1 <= sample.cores <= (psutil.cpu_count() or 1)
    assert sample.memory_total is not None
    assert 0 < sample.memory_total <= psutil.virtual_memory().total
    assert sample.scratch_free is not None
    assert sample.scratch_free > 0


def test_a_container_reports_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    sample = read_hardware(Settings(home=tmp_path))
    assert (sample.memory_total, sample.memory_used) == (1000, 400)
    (tmp_path / "memory.max").write_text("max\n")
    assert read_hardware(Settings(home=tmp_path)).memory_total == psutil.virtual_memory().total


def test_a_hanging_sample_reports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does it delay heartbeats for longer than the first may wait."""
    release = threading.Event()
    monkeypatch.setattr(hardware, "FIRST_SAMPLE_SECONDS", 0.05)
    monkeypatch.setattr(hardware, "read_hardware", lambda _: release.wait(60))
    sampler = HardwareSampler(Settings(home=tmp_path))
    shutdown = threading.Event()
    sampler.start(shutdown)
    try:
        assert sampler.latest() is None
    finally:
        shutdown.set()
        release.set()


def test_room_includes_the_context() -> None:
    device = trainer_device("cuda", [L4])
    sample = Hardware(device=device, gpus=[L4, H200])
    assert sample.device_memory == L4.memory_total
    assert sample.has_room_for(20 * 2**30)
    assert not sample.has_room_for(24 * 2**30)


def test_sampling_never_imports_torch() -> None:
    script = "import sys, worker.registration; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
