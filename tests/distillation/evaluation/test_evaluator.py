"""The order of an evaluation's measures, what is skipped, and where it resumes."""

import base64
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from core.distillation.data.images import Images
from core.distillation.evaluation import EvaluationTarget, evaluator
from core.distillation.evaluation.evaluator import PlannedMeasure, evaluate, measured_events
from core.distillation.evaluation.steps import (
    Finding,
    MeasureState,
    Step,
    last_finding,
    resume_state,
)
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.run_state import MeasurementInProgress, RunState
from core.errors import JobFailed
from core.job_folder import Measured, Progress
from core.jobspec.resolved import ResolvedPgdAttack
from tests.distillation.evaluation.builders import target

PGD = ResolvedPgdAttack(radius=0.1, step_size=0.02)
PLANNED = [
    PlannedMeasure("clean"),
    PlannedMeasure("first", PGD, 3),
    PlannedMeasure("second", PGD, 5),
]


class Script:
    """Measures of two steps, the clock that times them, and what they were called with.

    Each takes 5.00151 seconds by that clock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.calls: list[tuple[int, Any, MeasureState | None]] = []
        monkeypatch.setattr(evaluator, "measure", self.measure)
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("core.distillation.evaluation.evaluator.time", clock)

    def measure(
        self, evaluated: EvaluationTarget, settings: Any, state: MeasureState | None
    ) -> Iterator[Step | Finding]:
        self.calls.append((evaluated.attack_index, settings, state))
        first = 1 if state is None else state["next"]
        for number in range(first, 3):
            self.now += 2.0
            yield Step(number, 2, {"next": number + 1})
        self.now += 1.00151
        yield Finding(0.5, data={"images": 4})


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    return Script(monkeypatch)


def images() -> Images:
    return Images(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.long))


def run(state: RunState, role: str = "best", steps: int | None = None) -> list[Progress]:
    """Evaluate, to the end or until so many steps have been made."""
    progress = []
    events = evaluate(
        state, role, target(SmallCnn(10, width=1, channels=1), images()), iter(PLANNED)
    )
    for event in events:
        if isinstance(event, Progress):
            progress.append(event)
            if len(progress) == steps:
                break
    return progress


def test_every_measure_is_evaluated_in_order(script: Script) -> None:
    state = RunState()
    progress = run(state)
    assert script.calls == [(0, None, None), (3, PGD, None), (5, PGD, None)]
    assert list(state.measured["best"]) == ["clean", "first", "second"]
    assert state.measuring is None
    entry = state.measured["best"]["first"]
    assert (entry["value"], entry["seconds"], entry["images"]) == (0.5, 5.002, 4)
    positions = [(event.measure, event.step, event.of) for event in progress]
    assert positions == [
        (name, step, 2) for name in ("clean", "first", "second") for step in (1, 2)
    ]
    assert {(event.phase, event.network) for event in progress} == {("evaluating", "best")}


def test_stopped_measure_resumes_and_its_time_counts(script: Script) -> None:
    state = RunState()
    run(state, steps=3)
    assert state.measuring == MeasurementInProgress("best", "first", 2.0, {"next": 2})
    assert list(state.measured["best"]) == ["clean"]
    script.calls.clear()
    script.now = 900.0
    run(state)
    assert script.calls == [(3, PGD, {"next": 2}), (5, PGD, None)]
    # Two seconds before the stop, two and one after it.
    assert state.measured["best"]["first"]["seconds"] == 5.002


@pytest.mark.parametrize(("network", "name"), [("last", "first"), ("best", "other")])
def test_state_of_another_measure_is_not_resumed(network: str, name: str, script: Script) -> None:
    state = RunState(measuring=MeasurementInProgress(network, name, 50.0, {"next": 2}))
    run(state)
    assert script.calls == [(0, None, None), (3, PGD, None), (5, PGD, None)]
    assert state.measured["best"]["first"]["seconds"] == 5.002


def test_complete_measures_are_skipped(script: Script) -> None:
    state = RunState(measured={"best": {"clean": {"value": 1.0}, "second": {"value": 0.2}}})
    run(state)
    assert [index for index, _, _ in script.calls] == [3]
    assert state.measured["best"]["clean"] == {"value": 1.0}
    script.calls.clear()
    run(state, role="last")
    assert [index for index, _, _ in script.calls] == [0, 3, 5]
    assert state.measured.keys() == {"best", "last"}


# -- findings and states


def test_last_finding_needs_one() -> None:
    finding = Finding(0.25)
    assert last_finding(iter([Step(1, 2, {}), finding])) is finding
    assert finding.require_value() == 0.25
    assert Finding(0.0).require_value() == 0.0
    with pytest.raises(ValueError, match="ended without a finding"):
        last_finding(iter([Step(1, 2, {})]))
    with pytest.raises(ValueError, match="no single value"):
        Finding(None).require_value()


def test_state_has_exactly_the_fields_of_its_measure() -> None:
    assert resume_state(None, end=0, correct="") == {"end": 0, "correct": ""}
    assert resume_state({"end": 5, "correct": "1"}, end=0, correct="") == {
        "end": 5,
        "correct": "1",
    }
    for state in ({"end": 5}, {"end": 5, "correct": "", "other": 1}, {}):
        with pytest.raises(JobFailed, match="in the state of a measure") as caught:
            resume_state(state, end=0, correct="")
        assert caught.value.code == "incomplete_checkpoint"
        assert caught.value.failure_class == "infrastructure"


def test_events_have_the_mask_and_the_images_that_it_is_over() -> None:
    state = RunState()
    network = SmallCnn(10, width=1, channels=1)
    evaluated = target(network, images(), image_set="digest")
    [event] = [
        event
        for event in evaluate(state, "best", evaluated, iter(PLANNED[:1]))
        if isinstance(event, Measured)
    ]
    entry = state.measured["best"]["clean"]
    assert (event.images, event.image_set, event.mask) == (1, "digest", entry["mask"])
    assert base64.b64decode(event.mask or "") == bytes([0x80 if event.value else 0])
    assert event.per_class == entry["per_class"]
    assert list(event.interval or ()) == entry["interval"]


def test_entries_of_earlier_versions_make_events_without_masks() -> None:
    entry = {"value": 0.5, "values": {}, "seconds": 1.0, "images": 4}
    [event] = measured_events("last", "clean", entry)
    assert (event.value, event.images, event.mask, event.image_set) == (0.5, 4, None, None)
