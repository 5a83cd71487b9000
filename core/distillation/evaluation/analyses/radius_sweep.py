"""Robust accuracy at many radii (Fig. 3b of the paper): each a measurement of its own."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from core.distillation.evaluation.accuracy import measure
from core.distillation.evaluation.steps import Finding, Step, begun
from core.distillation.evaluation.target import EvaluationTarget
from core.jobspec.evaluation import PgdAttack, RadiusSweep
from core.summary_statistics import wilson

RISE = 0.01
"""Random starts alone make accuracy rise and fall by less than this."""


def radius_sweep(
    settings: RadiusSweep, subject: EvaluationTarget, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    """PGD with a uniform start and a step of a quarter of the radius; at radius 0 the clean accuracy."""
    assert settings.radii is not None
    state = begun(state, accuracy=[], inner=None)
    accuracies: list[float] = list(state["accuracy"])
    images, all_images = len(subject.images), len(subject.images) * len(settings.radii)
    for index in range(len(accuracies), len(settings.radii)):
        radius, inner = settings.radii[index], state["inner"]
        attack = (
            PgdAttack(radius=radius, step_size=radius / 4, steps=settings.steps)
            if radius > 0
            else None
        )
        steps = measure(
            subject.network,
            subject.images,
            attack,
            classes=subject.classes,
            batch_size=subject.batch_size,
            seed=subject.seed,
            state=inner,
        )
        for found in steps:
            if isinstance(found, Step):
                yield Step(
                    index * images + found.done,
                    all_images,
                    {"accuracy": accuracies, "inner": found.state},
                )
            else:
                assert found.value is not None
                accuracies = [*accuracies, found.value]
        state = {"accuracy": accuracies, "inner": None}
    intervals = [list(wilson(share, images)) for share in accuracies]
    data = {
        "radii": list(settings.radii),
        "accuracy": accuracies,
        "intervals": intervals,
        "images": images,
    }
    yield Finding(None, data={**data, "warnings": rises(settings.radii, accuracies)})


def rises(radii: Sequence[float], accuracies: Sequence[float]) -> list[str]:
    """A larger ball holds the smaller one: accuracy that rises in it was not found where it is lowest."""
    steps = itertools.pairwise(sorted(zip(radii, accuracies, strict=True)))
    return [
        f"Accuracy rises from {100 * earlier:.2f} % at radius {radius:.4g} to {100 * later:.2f} % at {larger:.4g}: "
        "the attack misses what is there, as it does where gradients are masked."
        for (radius, earlier), (larger, later) in steps
        if later - earlier > RISE
    ]
