"""Evaluates every measure that a spec names, one after the other, and resumes where it stopped."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from core.distillation.evaluation.masks import pack_text
from core.distillation.evaluation.measures import MeasureSettings, measure
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.run_state import MeasurementInProgress, RunState
from core.job_folder import Measured, Progress
from core.jobspec.evaluation import GradientChecks
from core.jobspec.resolved import ResolvedEvaluation
from core.reportspec.attack_keys import attack_keys
from core.reportspec.measures import UNDER_ATTACK, threat_key
from core.reportspec.threat_model import ThreatModel

SAMPLE_FIELDS = ("images", "interval", "mask", "image_set", "per_class")
"""Fields of an entry that tell on which images its value was measured; other measures, and entries
of earlier versions, lack some of them."""


@dataclass(frozen=True)
class PlannedMeasure:
    """One measure of an evaluation. ``settings`` None: clean accuracy."""

    name: str
    """Its key in results and report, such as "pgd-20@linf:8/255"."""
    settings: MeasureSettings = None
    attack_index: int = 0
    """Position among the attacks of the spec."""
    threat_model: ThreatModel | None = None
    """Of an analysis: where its own attacks search."""


def planned_measures(
    evaluation: ResolvedEvaluation, radius: float, analyses: bool = True
) -> Iterator[PlannedMeasure]:
    """Yield clean accuracy, the attacks, the gradient checks, and the analyses.

    ``radius``: of the analyses' attacks, in L-infinity. Without ``analyses`` the gradient checks
    are left out, too.
    """
    yield PlannedMeasure("clean")
    keys = attack_keys(evaluation.attacks)
    for index, (key, attack) in enumerate(zip(keys, evaluation.attacks, strict=True)):
        yield PlannedMeasure(key, attack, index)
    if not analyses:
        return
    threat_model = ThreatModel("linf", radius)
    for settings in (GradientChecks(), *evaluation.analyses):
        key = measure_key(settings.name, threat_model)
        yield PlannedMeasure(key, settings, threat_model=threat_model)


def measure_key(name: str, threat_model: ThreatModel | None) -> str:
    """Return the key of an analysis or of one of its numbers."""
    if threat_model is None or name not in UNDER_ATTACK:
        return name
    return threat_key(name, threat_model)


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
            entry = report_entry(step, seconds, planned.threat_model, target.image_set)
            state.measured[role][planned.name] = entry
            yield from measured_events(role, planned.name, entry)
        else:
            state.measuring = MeasurementInProgress(role, planned.name, seconds, step.state)
            yield progress_event(role, planned.name, step)


def progress_event(role: str, name: str, step: Step) -> Progress:
    return Progress(
        phase="evaluating", step=step.completed, of=step.total, network=role, measure=name
    )


def report_entry(
    finding: Finding,
    seconds: float,
    threat_model: ThreatModel | None = None,
    image_set: str | None = None,
) -> dict[str, Any]:
    """Return the measure's entry in the report, as JSON.

    ``threat_model``: of the attacks of an analysis, which the keys of its numbers name.
    ``image_set``: the digest of the images that the mask is over.
    """
    entry = {
        "value": finding.value,
        "values": {
            measure_key(name, threat_model): value for name, value in finding.values.items()
        },
        "seconds": round(seconds, 3),
        **finding.data,
    }
    if finding.mask is not None:
        entry |= {"mask": pack_text(finding.mask), "image_set": image_set}
    if threat_model is None:
        return entry
    return {**entry, "threat_model": threat_model.title}


def measured_events(role: str, name: str, entry: dict[str, Any]) -> Iterator[Measured]:
    """Yield the numbers of a measure as events, from which the job's results are made."""
    if entry["value"] is not None:
        sample = {field: entry.get(field) for field in SAMPLE_FIELDS}
        yield Measured(network=role, name=name, value=entry["value"], **sample)
    for key, value in entry["values"].items():
        yield Measured(network=role, name=key, value=value)
