"""Three checks for masked gradients, by which a network only seems robust.

After Athalye et al. (ICML 2018). B batch.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.evaluation.analyses.adversarial_batches import batches, pgd20_images
from core.distillation.evaluation.analyses.gradient_checks import LARGE_RADIUS
from core.distillation.evaluation.attacks import is_correct
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.evaluation import GradientMasking
from core.jobspec.resolved import ResolvedAutoAttack
from core.reportspec.measures import threat_key
from core.reportspec.threat_model import ThreatModel

MAX_SQUARE_DROP = 0.002
"""Square may lower the accuracy by this share without a warning."""
NOISE_DRAWS = 10
ITERATIONS = 20
"""Of APGD, on cross entropy and on nine targets: enough that Square finds next to nothing more,
unless gradients are masked."""
COUNTS = ("clean", "noise", "pgd", "large")


def gradient_masking(
    target: EvaluationTarget, settings: GradientMasking, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Check for masked gradients: count correct images batch by batch, then run APGD and Square."""
    state = resume_state(state, end=0, **dict.fromkeys(COUNTS, 0), search=None)
    images = len(target.images)
    with network_mode(target.network, "eval"), convolution_precision("fp32"):
        for end, images_BCHW, labels_B in batches(target, state["end"]):
            counts = correct_counts(target, images_BCHW, labels_B, end)
            totals = {name: state[name] + counts[name] for name in COUNTS}
            state = {"end": end, "search": None, **totals}
            yield Step(end, 2 * images, state)
    attack = ResolvedAutoAttack(
        radius=target.radius,
        stages=("apgd-ce", "apgd-t", "square"),
        iterations=ITERATIONS,
        queries=settings.queries,
    )
    stages: dict[str, Any] = {}
    for step in autoattack(target, attack, state["search"]):
        if isinstance(step, Finding):
            stages = step.data["stages"]
        else:
            completed = images + images * step.completed // step.total
            yield Step(completed, 2 * images, {**state, "search": step.state})
    shares = {name: state[name] / images for name in COUNTS}
    shares["gradients"] = stages["apgd-t"]["standing"]
    shares["square"] = stages["square"]["standing"]
    yield finding(shares, ThreatModel("linf", target.radius))


def correct_counts(
    target: EvaluationTarget, images_BCHW: Tensor, labels_B: Tensor, end: int
) -> dict[str, int]:
    """Count the images of a batch that are correct when clean, under noise, and under PGD-20.

    ``noise``: correct under each of ten draws of uniform noise. ``large``: PGD-20 at the large
    radius.
    """
    network = target.network
    device = images_BCHW.device
    generator = seeds.generator(device, target.seed, "gradient_masking", end)
    noise_B = torch.ones_like(labels_B, dtype=torch.bool)
    for _ in range(NOISE_DRAWS):
        noise_BCHW = torch.empty_like(images_BCHW)
        noise_BCHW.uniform_(-target.radius, target.radius, generator=generator)
        noise_B &= is_correct(network, (images_BCHW + noise_BCHW).clamp(0, 1), labels_B)
    pgd_BCHW = pgd20_images(network, target, images_BCHW, labels_B, end, "gradient_masking")
    large_BCHW = pgd20_images(
        network, target, images_BCHW, labels_B, end, "large radius", LARGE_RADIUS
    )
    return {
        "clean": int(is_correct(network, images_BCHW, labels_B).sum()),
        "noise": int(noise_B.sum()),
        "pgd": int(is_correct(network, pgd_BCHW, labels_B).sum()),
        "large": int(is_correct(network, large_BCHW, labels_B).sum()),
    }


def finding(shares: dict[str, float], threat_model: ThreatModel) -> Finding:
    results = checks(shares, threat_model)
    values = {
        "masking_square_drop": shares["gradients"] - shares["square"],
        threat_key("masking_large_radius", ThreatModel("linf", LARGE_RADIUS)): shares["large"],
    }
    warnings = [check["sentence"] for check in results if not check["passed"]]
    data = {"checks": results, "warnings": warnings, "share": shares, "large_radius": LARGE_RADIUS}
    return Finding(None, values=values, data=data)


def checks(shares: dict[str, float], threat_model: ThreatModel) -> list[dict[str, Any]]:
    """Return each check: its name, whether it passed, and the warning if it did not."""
    drop = shares["gradients"] - shares["square"]
    results = {
        "square": (
            drop <= MAX_SQUARE_DROP,
            f"Under {threat_model.title}, Square lowers the accuracy by {100 * drop:.2f} points "
            f"below that of APGD, more than {100 * MAX_SQUARE_DROP:.1f}: the network may mask its "
            "gradients.",
        ),
        "large_radius": (
            shares["large"] == 0,
            f"Under L∞, {LARGE_RADIUS}, PGD-20 leaves {100 * shares['large']:.2f} % of the images "
            "correct; it should leave none.",
        ),
        "noise": (
            shares["noise"] >= shares["pgd"],
            f"Under {threat_model.title}, random noise leaves {100 * shares['noise']:.2f} % of the "
            f"images correct, fewer than PGD-20, which leaves {100 * shares['pgd']:.2f} %.",
        ),
    }
    return [
        {"name": name, "passed": passed, "sentence": sentence}
        for name, (passed, sentence) in results.items()
    ]
