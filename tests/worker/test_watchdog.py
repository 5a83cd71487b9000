"""What counts as a trainer's progress, and how long it may make none."""

from pathlib import Path

import pytest

from core.job_folder import JobFolder, Metrics, PhaseStarted, Progress
from tests.builders import training_spec
from worker import watchdog
from worker.watchdog import HangDetector


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watchdog, "time", clock)
    return clock


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path)
    folder.create(training_spec())
    return folder


def hangs_within(detector: HangDetector, clock: Clock, seconds: float) -> bool:
    """Check once a second; return whether the trainer is found hanging."""
    for _ in range(round(seconds)):
        clock.now += 1.0
        if detector.is_hanging():
            return True
    return False


def step(number: int, measure: str | None = None) -> Progress:
    return Progress(phase="training", step=number, of=100, measure=measure)


def test_only_a_long_silence_is_a_hang(folder: JobFolder, clock: Clock) -> None:
    detector = HangDetector(folder, 300)
    assert not hangs_within(detector, clock, 290)
    folder.emit(PhaseStarted(phase="training"))
    assert not hangs_within(detector, clock, 290)
    assert hangs_within(detector, clock, 20)


def test_repeating_a_position_is_no_progress(folder: JobFolder, clock: Clock) -> None:
    detector = HangDetector(folder, 30)
    for _ in range(40):
        folder.emit(step(7))
        if hangs_within(detector, clock, 1):
            return
    pytest.fail("a trainer that repeats its position was not found hanging")


def test_a_slow_step_may_take_ten_times_the_median(folder: JobFolder, clock: Clock) -> None:
    detector = HangDetector(folder, 30)
    for number in range(5):
        folder.emit(step(number))
        assert not hangs_within(detector, clock, 20)
    assert detector.max_silent_seconds() == 200
    assert not hangs_within(detector, clock, 170)
    assert hangs_within(detector, clock, 30)


def test_the_first_step_of_a_new_measure_is_progress(folder: JobFolder, clock: Clock) -> None:
    detector = HangDetector(folder, 30)
    for measure in ("pgd-20@linf:8/255", "cw-30@linf:8/255"):
        folder.emit(step(5, measure))
        folder.emit(Metrics(step=5, values={}))
        assert not hangs_within(detector, clock, 25)


def test_time_while_the_worker_was_stopped_is_not_silence(folder: JobFolder, clock: Clock) -> None:
    detector = HangDetector(folder, 30)
    assert not hangs_within(detector, clock, 20)
    clock.now += 3600
    assert not detector.is_hanging()
    assert hangs_within(detector, clock, 10)
