"""Do gradients mislead? Three signs by which a network that only seems robust gives itself away (Athalye et al., ICML 2018)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.evaluation.analyses.attacked import attacked, batches
from core.distillation.evaluation.attacks import correct
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.steps import Finding, Step, begun
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.forward import convolutions_in, mode
from core.jobspec.evaluation import AutoAttack, GradientMasking

POINTS = 0.002
"""Square may lower the accuracy by so much without a warning."""
LARGE_RADIUS = 0.5
"""Every pixel can become grey: no network can tell the images apart, if the attack finds the way."""
DRAWS = 10
ITERATIONS = 20
"""Of APGD, on cross entropy and then on nine targets: enough for Square to find next to nothing where gradients are honest."""
COUNTS = ("clean", "noise", "pgd", "large")


def gradient_masking(
    settings: GradientMasking, subject: EvaluationTarget, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    state = begun(state, end=0, **dict.fromkeys(COUNTS, 0), search=None)
    images = len(subject.images)
    with mode(subject.network, "eval"), convolutions_in("fp32"):
        for end, images_BCHW, labels_B in batches(subject, state["end"]):
            found = counts(subject, images_BCHW, labels_B, end)
            state = {"end": end, "search": None} | {
                name: state[name] + found[name] for name in COUNTS
            }
            yield Step(end, 2 * images, state)
    for step in search(settings, subject, state["search"]):
        if isinstance(step, Step):
            yield Step(
                images + images * step.done // step.of, 2 * images, {**state, "search": step.state}
            )
        else:
            stages = step.data["stages"]
    share = {name: state[name] / images for name in COUNTS}
    yield finding(
        share | {"gradients": stages["apgd-t"]["standing"], "square": stages["square"]["standing"]}
    )


def search(
    settings: GradientMasking, subject: EvaluationTarget, state: dict[str, Any] | None
) -> Iterator[Step | Finding]:
    """Square, on what attacks with gradients leave standing."""
    attack = AutoAttack(
        radius=subject.radius,
        stages=("apgd-ce", "apgd-t", "square"),
        iterations=ITERATIONS,
        queries=settings.queries,
    )
    return autoattack(
        subject.network,
        subject.images,
        attack,
        classes=subject.classes,
        batch_size=subject.batch_size,
        seed=subject.seed,
        state=state,
    )


def counts(
    subject: EvaluationTarget, images_BCHW: Tensor, labels_B: Tensor, end: int
) -> dict[str, int]:
    """How many of a batch are right: clean, under noise, under PGD-20, under PGD-20 at the large radius."""
    network = subject.network

    def right(images: Tensor) -> Tensor:
        return correct(network, images, labels_B)

    generator = seeds.generator(images_BCHW.device, subject.seed, "gradient_masking", end)
    noise_B = torch.ones_like(labels_B, dtype=torch.bool)
    for _ in range(DRAWS):
        noise = torch.empty_like(images_BCHW).uniform_(
            -subject.radius, subject.radius, generator=generator
        )
        noise_B &= right((images_BCHW + noise).clamp(0, 1))
    return {
        "clean": int(right(images_BCHW).sum()),
        "noise": int(noise_B.sum()),
        "pgd": int(
            right(attacked(network, subject, images_BCHW, labels_B, end, "gradient_masking")).sum()
        ),
        "large": int(
            right(
                attacked(network, subject, images_BCHW, labels_B, end, "large radius", LARGE_RADIUS)
            ).sum()
        ),
    }


def finding(share: dict[str, float]) -> Finding:
    checks = verdicts(share)
    values = {
        "masking_square_drop": share["gradients"] - share["square"],
        "masking_large_radius": share["large"],
    }
    warnings = [check["sentence"] for check in checks if not check["passed"]]
    data = {"checks": checks, "warnings": warnings, "share": share, "large_radius": LARGE_RADIUS}
    return Finding(None, values=values, data=data)


def verdicts(share: dict[str, float]) -> list[dict[str, Any]]:
    """Each check with the sentence that is said where it is not passed."""
    drop = share["gradients"] - share["square"]
    found = {
        "square": (
            drop <= POINTS,
            f"Square took {100 * drop:.2f} points beyond what APGD had found by gradients, more than {100 * POINTS:.1f}: "
            "the network may mask its gradients.",
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
    return [
        {"name": name, "passed": passed, "sentence": sentence}
        for name, (passed, sentence) in found.items()
    ]
