"""Do gradients mislead? Three signs by which a network that only seems robust gives itself away (Athalye et al., ICML 2018)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.evaluation.analyses.attacked import attacked, batches
from core.distillation.evaluation.attacks import correct
from core.distillation.evaluation.autoattack import square_survives
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.subject import Subject
from core.distillation.views import convolutions_in, mode
from core.spec.evaluation import GradientMasking

POINTS = 0.002
"""Square may lower the accuracy by so much without a warning."""
LARGE_RADIUS = 0.5
"""Every pixel can become grey: no network can tell the images apart, if the attack finds the way."""
DRAWS = 10
COUNTS = ("clean", "pgd", "square", "large", "noise")


def gradient_masking(
    settings: GradientMasking, subject: Subject, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    state = state or {"end": 0, **dict.fromkeys(COUNTS, 0)}
    with mode(subject.network, "eval"), convolutions_in("fp32"):
        for end, images_BCHW, labels_B in batches(subject, state["end"]):
            found = counts(settings, subject, images_BCHW, labels_B, end)
            state = {"end": end} | {name: state[name] + found[name] for name in COUNTS}
            yield Step(end, len(subject.images), state)
    share = {name: state[name] / len(subject.images) for name in COUNTS}
    checks = verdicts(share)
    values = {"masking_square_drop": share["pgd"] - share["square"], "masking_large_radius": share["large"]}
    warnings = [check["sentence"] for check in checks if not check["passed"]]
    yield Finding(None, values=values, data={"checks": checks, "warnings": warnings, "share": share})


def counts(settings: GradientMasking, subject: Subject, images_BCHW: Tensor, labels_B: Tensor, end: int) -> dict[str, int]:
    """How many of a batch are right: clean, under PGD-20, then Square, under PGD-20 at the large radius, under noise."""
    network = subject.network

    def right(images: Tensor) -> Tensor:
        return correct(network, images, labels_B)

    generator = seeds.generator(images_BCHW.device, subject.seed, "gradient_masking", end)
    pgd_B = right(attacked(network, subject, images_BCHW, labels_B, end, "gradient_masking"))
    left = pgd_B.nonzero().flatten()
    square = 0
    if len(left):
        survivors = square_survives(
            network, images_BCHW[left], labels_B[left], radius=subject.radius, queries=settings.queries, generator=generator
        )
        square = int(survivors.sum())
    noise_B = torch.ones_like(pgd_B)
    for _ in range(DRAWS):
        noise = torch.empty_like(images_BCHW).uniform_(-subject.radius, subject.radius, generator=generator)
        noise_B &= right((images_BCHW + noise).clamp(0, 1))
    large_B = right(attacked(network, subject, images_BCHW, labels_B, end, "large radius", LARGE_RADIUS))
    return {
        "clean": int(right(images_BCHW).sum()),
        "pgd": int(pgd_B.sum()),
        "square": square,
        "large": int(large_B.sum()),
        "noise": int(noise_B.sum()),
    }


def verdicts(share: dict[str, float]) -> list[dict[str, Any]]:
    drop = share["pgd"] - share["square"]
    found = {
        "square": (
            drop <= POINTS,
            f"Square lowered the accuracy under PGD-20 by {100 * drop:.2f} points, more than {100 * POINTS:.1f}.",
        ),
        "large_radius": (
            share["large"] == 0,
            f"At radius {LARGE_RADIUS} PGD-20 leaves {100 * share['large']:.2f} % of the images standing; it should leave none.",
        ),
        "noise": (
            share["noise"] >= share["pgd"],
            f"Random noise leaves {100 * share['noise']:.2f} % of the images standing, PGD-20 {100 * share['pgd']:.2f} %.",
        ),
    }
    return [{"name": name, "passed": passed, "sentence": sentence} for name, (passed, sentence) in found.items()]
