"""Takes every measure that a spec asks for, one after the other, and goes on from wherever it was stopped."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.distillation.evaluation import EvaluationTarget, Finding, Step, measure
from core.distillation.evaluation.analyses import ANALYSES
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.run_state import MeasurementInProgress, RunState
from core.job_folder import Measured, Progress
from core.jobspec.evaluation import Analysis, Attack, AutoAttack, CwAttack, Evaluation, PgdAttack


@dataclass(frozen=True)
class Measure:
    """``settings`` None: clean accuracy. ``index`` is the attack's place among the spec's."""

    name: str
    settings: Attack | Analysis | None = None
    index: int = 0


def measures(spec: Evaluation, analyses: bool = True) -> Iterator[Measure]:
    """Clean, the attacks (pgd, cw, and pgd_2, ... where one is asked for again), the analyses."""
    yield Measure("clean")
    seen: dict[str, int] = {}
    for index, attack in enumerate(spec.attacks):
        seen[attack.name] = seen.get(attack.name, 0) + 1
        yield Measure(
            attack.name if seen[attack.name] == 1 else f"{attack.name}_{seen[attack.name]}",
            attack,
            index,
        )
    if analyses:
        yield from (Measure(analysis.name, analysis) for analysis in spec.analyses)


def evaluate(
    state: RunState, role: str, subject: EvaluationTarget, wanted: Iterator[Measure]
) -> Iterator[Progress | Measured]:
    """Fills ``state.measured[role]`` and yields what happens; ``state`` may be kept between any two yields.

    Whoever stops in between begins again with the same arguments and the state as it is.
    """
    results = state.measured.setdefault(role, {})
    for it in wanted:
        if it.name not in results:
            yield from _take(state, role, subject, it)


def _take(
    state: RunState, role: str, subject: EvaluationTarget, it: Measure
) -> Iterator[Progress | Measured]:
    earlier = state.measuring
    if earlier is not None and (earlier.network, earlier.name) != (role, it.name):
        earlier = None
    began = time.monotonic() - (earlier.seconds if earlier is not None else 0.0)
    for found in steps(it, subject, earlier.state if earlier is not None else None):
        seconds = time.monotonic() - began
        if isinstance(found, Step):
            state.measuring = MeasurementInProgress(role, it.name, seconds, found.state)
            yield Progress(
                phase="evaluating", step=found.done, of=found.of, network=role, measure=it.name
            )
        else:
            state.measuring = None
            state.measured[role][it.name] = record(found, seconds)
            yield from said(role, it.name, state.measured[role][it.name])


def record(found: Finding, seconds: float) -> dict[str, Any]:
    return {
        "value": found.value,
        "values": found.values,
        "seconds": round(seconds, 3),
        **found.data,
    }


def said(role: str, name: str, entry: dict[str, Any]) -> Iterator[Measured]:
    """A measure's numbers as events: the job's results."""
    if entry["value"] is not None:
        yield Measured(network=role, name=name, value=entry["value"])
    for key, value in entry["values"].items():
        yield Measured(network=role, name=key, value=value)


def steps(
    it: Measure, subject: EvaluationTarget, state: dict[str, Any] | None
) -> Iterator[Step | Finding]:
    common: dict[str, Any] = {
        "classes": subject.classes,
        "batch_size": subject.batch_size,
        "seed": subject.seed,
        "state": state,
    }
    settings = it.settings
    if isinstance(settings, AutoAttack):
        return autoattack(subject.network, subject.images, settings, **common)
    if settings is None or isinstance(settings, PgdAttack | CwAttack):
        return measure(subject.network, subject.images, settings, index=it.index, **common)
    found: Iterator[Step | Finding] = ANALYSES[settings.name](settings, subject, state)
    return found
