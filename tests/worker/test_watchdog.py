"""The clock of progress: what counts as getting somewhere, and how long nothing may."""

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


def hung_after(dog: HangDetector, clock: Clock, seconds: float) -> bool:
    """Looked at every second."""
    for _ in range(round(seconds)):
        clock.now += 1.0
        if dog.is_hanging():
            return True
    return False


def step(number: int, measure: str | None = None) -> Progress:
    return Progress(phase="training", step=number, of=100, measure=measure)


def test_silence_is_a_hang_only_when_it_has_lasted(folder: JobFolder, clock: Clock) -> None:
    dog = HangDetector(folder, 300)
    assert not hung_after(dog, clock, 290)
    folder.emit(PhaseStarted(phase="training"))
    assert not hung_after(dog, clock, 290)
    assert hung_after(dog, clock, 20)


def test_to_say_again_where_it_is_is_not_to_get_anywhere(folder: JobFolder, clock: Clock) -> None:
    dog = HangDetector(folder, 30)
    for _ in range(40):
        folder.emit(step(7))
        if hung_after(dog, clock, 1):
            return
    pytest.fail("it repeats itself and is taken for well")


def test_slow_steps_are_waited_for_ten_times_their_median(folder: JobFolder, clock: Clock) -> None:
    dog = HangDetector(folder, 30)
    for number in range(5):
        folder.emit(step(number))
        assert not hung_after(dog, clock, 20)
    assert dog.max_silent_seconds() == 200
    assert not hung_after(dog, clock, 170)
    assert hung_after(dog, clock, 30)


def test_a_new_measure_counts_from_its_beginning(folder: JobFolder, clock: Clock) -> None:
    dog = HangDetector(folder, 30)
    for measure in ("pgd", "cw"):
        folder.emit(step(5, measure))
        folder.emit(Metrics(step=5, values={}))
        assert not hung_after(dog, clock, 25)


def test_time_in_which_the_worker_itself_was_stopped_is_no_silence(
    folder: JobFolder, clock: Clock
) -> None:
    dog = HangDetector(folder, 30)
    assert not hung_after(dog, clock, 20)
    clock.now += 3600
    assert not dog.is_hanging()
    assert hung_after(dog, clock, 10)
