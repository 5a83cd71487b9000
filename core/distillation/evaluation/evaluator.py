"""Evaluates every measure that a spec names, one after the other, and resumes where it stopped."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from core.distillation.evaluation.measures import MeasureSettings, measure
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.run_state import MeasurementInProgress, RunState
from core.job_folder import Measured, Progress
from core.jobspec.resolved import ResolvedEvaluation


@dataclass(frozen=True)
class PlannedMeasure:
    """One measure of an evaluation. ``settings`` None: clean accuracy."""

    name: str
    """In results and report: "pgd", or "pgd_2" for the second PGD of a spec."""
    settings: MeasureSettings = None
    attack_index: int = 0
    """Position among the attacks of the spec."""


def planned_measures(
    evaluation: ResolvedEvaluation, analyses: bool = True
) -> Iterator[PlannedMeasure]:
    """Yield clean accuracy, the attacks, and the analyses.

    An attack that the spec names again is numbered: pgd, pgd_2, pgd_3.
    """
    yield PlannedMeasure("clean")
    counts: dict[str, int] = {}
    for index, attack in enumerate(evaluation.attacks):
        count = counts.get(attack.name, 0) + 1
        counts[attack.name] = count
        name = attack.name if count == 1 else f"{attack.name}_{count}"
        yield PlannedMeasure(name, attack, index)
    if analyses:
        yield from (PlannedMeasure(analysis.name, analysis) for analysis in evaluation.analyses)


def evaluate(
    state: RunState, role: str, target: EvaluationTarget, planned: Iterator[PlannedMeasure]
) -> Iterator[Progress | Measured]:
    """Fill ``state.measured[role]``, and yield progress and results as events.

    ``state`` may be saved between any two yields. A caller that stops early calls again with the
    same arguments and that state: complete measures are skipped, the interrupted one resumes.
    """
    results = state.measured.setdefault(role, {})
    for planned_measure in planned:
        if planned_measure.name not in results:
            yield from _evaluate_one(state, role, target, planned_measure)


def _evaluate_one(
    state: RunState, role: str, target: EvaluationTarget, planned: PlannedMeasure
) -> Iterator[Progress | Measured]:
    interrupted = state.measuring
    if interrupted is not None and (interrupted.network, interrupted.name) != (role, planned.name):
        interrupted = None
    measure_state = None if interrupted is None else interrupted.state
    # The time of earlier attempts counts too, as if the clock had started that much earlier.
    started = time.monotonic() - (0.0 if interrupted is None else interrupted.seconds)
    target = replace(target, attack_index=planned.attack_index)
    for step in measure(target, planned.settings, measure_state):
        seconds = time.monotonic() - started
        if isinstance(step, Finding):
            state.measuring = None
            entry = report_entry(step, seconds)
            state.measured[role][planned.name] = entry
            yield from measured_events(role, planned.name, entry)
        else:
            state.measuring = MeasurementInProgress(role, planned.name, seconds, step.state)
            yield progress_event(role, planned.name, step)


def progress_event(role: str, name: str, step: Step) -> Progress:
    return Progress(
        phase="evaluating", step=step.completed, of=step.total, network=role, measure=name
    )


def report_entry(finding: Finding, seconds: float) -> dict[str, Any]:
    """Return the measure's entry in the report, as JSON."""
    return {
        "value": finding.value,
        "values": finding.values,
        "seconds": round(seconds, 3),
        **finding.data,
    }


def measured_events(role: str, name: str, entry: dict[str, Any]) -> Iterator[Measured]:
    """Yield the numbers of a measure as events, from which the job's results are made."""
    if entry["value"] is not None:
        yield Measured(network=role, name=name, value=entry["value"])
    for key, value in entry["values"].items():
        yield Measured(network=role, name=key, value=value)
