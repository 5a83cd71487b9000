"""How much variances change under attack, against robust accuracy (Figs. 1 and 5 of the paper).

The gap, in %, is the mean over channels of |var_adv - var_clean| / var_clean. Its channels are the
penultimate features; and, for the Gram matrices P P' / K of each batch's predictions, the matrix's
columns: an image's inner products with all others. That second reading is a guess: the paper says
"variances of prediction score-based gram matrices".

N images, B batch, D features, K classes.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.adversarial_batches import (
    batches,
    networks,
    pgd20_images,
)
from core.distillation.evaluation.analyses.network_outputs import (
    features_and_probabilities,
    finite_in_all,
    omission_warnings,
)
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.resolved import ResolvedVarianceGap
from core.summary_statistics import fit_line

MIN_VARIANCE = 1e-12
"""A channel with a smaller clean variance is left out: its relative change means nothing."""
KINDS = ("features", "gram")

Point = dict[str, float | None]
"""One network at one radius: radius, accuracy (a share), the gaps of features and of Gram matrices
in %, channels left out, images left out. An image is left out where its features or probabilities,
clean or adversarial, are not finite; it counts as misclassified."""


def variance_gap(
    target: EvaluationTarget, settings: ResolvedVarianceGap, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Measure the gap at each radius, the target's included, for network and reference.

    Each network is attacked with images made for itself. The state has complete points only, so a
    radius that was interrupted starts anew: sums of features would make a large state.
    """
    evaluated = networks(target)
    radii = sorted({*settings.radii, target.radius})
    stored = resume_state(state, **{name: [] for name in evaluated})
    points: dict[str, list[Point]] = {name: list(stored[name]) for name in stored}
    images = len(target.images)
    total = len(evaluated) * len(radii) * images
    for name, network in evaluated.items():
        for radius in radii[len(points[name]) :]:
            completed = images * sum(map(len, points.values()))
            for item in gap_at(network, target, radius):
                if isinstance(item, int):
                    copies = {name: list(column) for name, column in points.items()}
                    yield Step(completed + item, total, copies)
                else:
                    points[name].append(item)
    yield finding(points, target)


def finding(points: dict[str, list[Point]], target: EvaluationTarget) -> Finding:
    data: dict[str, Any] = {name: summary(column, target.radius) for name, column in points.items()}
    gaps_of_network = {f"variance_gap_{kind}": data["network"][kind] for kind in KINDS}
    values = {name: gap for name, gap in gaps_of_network.items() if gap is not None}
    omitted = max(
        int(point["images_left_out"] or 0) for column in points.values() for point in column
    )
    data |= {"images": len(target.images), "warnings": omission_warnings(omitted)}
    return Finding(None, values=values, data=data)


def gap_at(network: Classifier, target: EvaluationTarget, radius: float) -> Iterator[int | Point]:
    """Yield the number of completed images after each batch and, last, the point."""
    clean = Moments()
    adversarial = Moments()
    gram_gaps: list[float] = []
    correct = omitted = 0
    with network_mode(network, "eval"), convolution_precision("fp32"):
        for end, images_BCHW, labels_B in batches(target):
            adversarial_BCHW = pgd20_images(
                network, target, images_BCHW, labels_B, end, "variance_gap", radius
            )
            clean_BD, clean_BK = features_and_probabilities(network, images_BCHW)
            adversarial_BD, adversarial_BK = features_and_probabilities(network, adversarial_BCHW)
            finite_B = finite_in_all(clean_BD, clean_BK, adversarial_BD, adversarial_BK)
            clean.add(clean_BD[finite_B])
            adversarial.add(adversarial_BD[finite_B])
            clean_gram_B = gram_variances(clean_BK[finite_B])
            gram_gaps += gaps(clean_gram_B, gram_variances(adversarial_BK[finite_B])).tolist()
            correct += int(((adversarial_BK.argmax(dim=1) == labels_B) & finite_B).sum())
            omitted += int((~finite_B).sum())
            yield end
    feature_gaps_D = gaps(clean.variance(), adversarial.variance())
    yield {
        "radius": radius,
        "accuracy": correct / len(target.images),
        "features": mean(feature_gaps_D),
        "gram": mean(torch.tensor(gram_gaps)),
        "channels_left_out": len(clean.variance()) - len(feature_gaps_D),
        "images_left_out": omitted,
    }


def summary(points: list[Point], radius: float) -> dict[str, Any]:
    """Return the gaps at the target's radius, all points, and a fitted line by kind.

    The line is that of accuracy in % over the gap in %, with its r; None where none can be fitted.
    """
    (own,) = (point for point in points if point["radius"] == radius)
    lines = {}
    for kind in KINDS:
        pairs = [
            (gap, 100 * share)
            for point in points
            if (gap := point[kind]) is not None and (share := point["accuracy"]) is not None
        ]
        line = fit_line([gap for gap, _ in pairs], [accuracy for _, accuracy in pairs])
        lines[kind] = None if line is None else asdict(line)
    return {**{kind: own[kind] for kind in KINDS}, "points": points, "lines": lines}


class Moments:
    """Sums of features and of their squares, in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self.total = torch.zeros(())
        self.squares = torch.zeros(())

    def add(self, features_BD: Tensor) -> None:
        features_BD = features_BD.double().cpu()
        self.count += len(features_BD)
        self.total = self.total + features_BD.sum(dim=0)
        self.squares = self.squares + features_BD.square().sum(dim=0)

    def variance(self) -> Tensor:
        """Return the variance of each feature, [D], divided by N."""
        count = max(1, self.count)
        return (self.squares / count - (self.total / count).square()).clamp_min(0)


def gram_variances(probabilities_BK: Tensor) -> Tensor:
    """Return the variance of each column of P P' / K, [B]."""
    if not len(probabilities_BK):
        return torch.zeros(0)
    probabilities_BK = probabilities_BK.double().cpu()
    gram_BB = probabilities_BK @ probabilities_BK.T / probabilities_BK.shape[1]
    return gram_BB.var(dim=0, correction=0)


def mean(gaps_D: Tensor) -> float | None:
    """Return None where every channel was left out."""
    return float(gaps_D.mean()) if len(gaps_D) else None


def gaps(clean_D: Tensor, adversarial_D: Tensor) -> Tensor:
    """Return relative changes of variances in %, of the channels that are not left out."""
    usable_D = clean_D > MIN_VARIANCE
    change_D = adversarial_D[usable_D] - clean_D[usable_D]
    return 100 * change_D.abs() / clean_D[usable_D]
