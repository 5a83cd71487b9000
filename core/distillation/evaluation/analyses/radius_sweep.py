"""Robust accuracy at many radii (Fig. 3b of the paper): each a measurement of its own."""

import itertools
from collections.abc import Iterator
from typing import Any

from core.distillation.evaluation.accuracy import measure
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.subject import Subject
from core.spec.evaluation import PgdAttack, RadiusSweep


def radius_sweep(settings: RadiusSweep, subject: Subject, state: dict[str, Any] | None = None) -> Iterator[Step | Finding]:
    """PGD with a uniform start and a step of a quarter of the radius; at radius 0 the clean accuracy."""
    assert settings.radii is not None
    state = state or {"accuracy": [], "inner": None}
    accuracies: list[float] = list(state["accuracy"])
    images, all_images = len(subject.images), len(subject.images) * len(settings.radii)
    for index in range(len(accuracies), len(settings.radii)):
        radius, inner = settings.radii[index], state["inner"]
        attack = PgdAttack(radius=radius, step_size=radius / 4, steps=settings.steps) if radius > 0 else None
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
                yield Step(index * images + found.done, all_images, {"accuracy": accuracies, "inner": found.state})
            else:
                assert found.value is not None
                accuracies = [*accuracies, found.value]
        state = {"accuracy": accuracies, "inner": None}
    falling = all(later <= earlier for earlier, later in itertools.pairwise(accuracies))
    yield Finding(None, data={"radii": list(settings.radii), "accuracy": accuracies, "falls_throughout": falling})
