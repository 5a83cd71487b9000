"""Robust accuracy at many radii (Fig. 3b of the paper), each measured by itself."""

import itertools
from collections.abc import Iterator, Sequence

from core.distillation.evaluation.accuracy import accuracy
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.jobspec.resolved import ResolvedPgdAttack, ResolvedRadiusSweep
from core.reportspec.threat_model import format_radius
from core.summary_statistics import wilson_interval

MAX_RISE = 0.01
"""Random starts alone make accuracy rise and fall by less than this share."""


def radius_sweep(
    target: EvaluationTarget, settings: ResolvedRadiusSweep, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Measure PGD accuracy at each radius: uniform start, steps of a quarter of the radius.

    At radius 0 it is the clean accuracy.
    """
    state = resume_state(state, accuracy=[], inner=None)
    accuracies: list[float] = list(state["accuracy"])
    inner_state = state["inner"]
    images = len(target.images)
    for index in range(len(accuracies), len(settings.radii)):
        attack = _attack(settings.radii[index], settings.steps)
        for step in accuracy(target, attack, inner_state):
            if isinstance(step, Finding):
                accuracies = [*accuracies, step.require_value()]
            else:
                completed = index * images + step.completed
                resume_from = {"accuracy": accuracies, "inner": step.state}
                yield Step(completed, images * len(settings.radii), resume_from)
        inner_state = None
    data = {
        "radii": list(settings.radii),
        "steps": settings.steps,
        "accuracy": accuracies,
        "intervals": [list(wilson_interval(share, images)) for share in accuracies],
        "images": images,
        "warnings": rise_warnings(settings.radii, accuracies),
    }
    yield Finding(None, data=data)


def _attack(radius: float, steps: int) -> ResolvedPgdAttack | None:
    if radius == 0:
        return None
    return ResolvedPgdAttack(radius=radius, step_size=radius / 4, steps=steps)


def rise_warnings(radii: Sequence[float], accuracies: Sequence[float]) -> list[str]:
    """Return a warning for each rise of the accuracy from one radius to the next larger one.

    The larger ball contains the smaller one, so the accuracy in it cannot truly be higher: the
    attack missed adversarial images.
    """
    pairs = itertools.pairwise(sorted(zip(radii, accuracies, strict=True)))
    return [
        f"Accuracy rises from {100 * before:.2f} % under L∞, {format_radius(radius)}, to "
        f"{100 * after:.2f} % under L∞, {format_radius(larger)}: the attack misses adversarial "
        "images in the larger ball, as happens where gradients are masked."
        for (radius, before), (larger, after) in pairs
        if after - before > MAX_RISE
    ]
