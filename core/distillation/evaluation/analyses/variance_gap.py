"""How much variances change under attack, against robust accuracy (Figs. 1 and 5 of the paper). N images, D features, K classes.

The gap, in %, is the mean over channels of |var_adv - var_clean| / var_clean. Its channels are the penultimate features; and, for
the Gram matrices P P' / K of each batch's predictions, the matrix's columns: an image's inner products with all others. That
second reading is a guess: the paper says "variances of prediction score-based gram matrices".
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.attacked import attacked, batches, networks
from core.distillation.evaluation.steps import Finding, Step, begun
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.forward import convolutions_in, forward, mode
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import VarianceGap
from core.summary_statistics import fitted

SMALLEST = 1e-12
"""A channel whose clean variance is below this says nothing, and is left out."""
KINDS = ("features", "gram")

Point = dict[str, float | None]
"""One network at one radius: radius, accuracy (a share), the gaps of features and Gram matrices in %, channels and images left
out. An image is left out where its features or probabilities, clean or attacked, are not finite; it counts as not robust."""


def variance_gap(
    settings: VarianceGap, subject: EvaluationTarget, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    """At each radius, the subject's own among them, and for each network, attacked for itself.

    Gone on with from the last radius that is complete: sums of features would be a large state.
    """
    assert settings.radii is not None
    every, radii = networks(subject), sorted({*settings.radii, subject.radius})
    points: dict[str, list[Point]] = {
        name: list(found) for name, found in begun(state, **{name: [] for name in every}).items()
    }
    images, done = len(subject.images), sum(map(len, points.values()))
    for name, network in every.items():
        for radius in radii[len(points[name]) :]:
            for found in gap_at(network, subject, radius):
                if isinstance(found, int):
                    yield Step(
                        done * images + found, len(every) * len(radii) * images, _copied(points)
                    )
                else:
                    points[name].append(found)
            done += 1
    data = {name: summary(its_points, subject.radius) for name, its_points in points.items()}
    gaps_found = {f"variance_gap_{kind}": data["network"][kind] for kind in KINDS}
    values = {name: gap for name, gap in gaps_found.items() if gap is not None}
    missing = max(
        int(point["images_left_out"] or 0) for found in points.values() for point in found
    )
    yield Finding(
        None, values=values, data={**data, "images": images, "warnings": left_out(missing)}
    )


def left_out(images: int) -> list[str]:
    return (
        [f"{images} images had features or probabilities that are not finite and were left out."]
        if images
        else []
    )


def _copied(points: dict[str, list[Point]]) -> dict[str, list[Point]]:
    return {name: list(found) for name, found in points.items()}


def gap_at(network: Classifier, subject: EvaluationTarget, radius: float) -> Iterator[int | Point]:
    """After each batch how many images are done; in the end the point."""
    clean, adversarial = Moments(), Moments()
    gram: list[float] = []
    standing = missing = 0
    with mode(network, "eval"), convolutions_in("fp32"):
        for end, images_BCHW, labels_B in batches(subject):
            adversarial_BCHW = attacked(
                network, subject, images_BCHW, labels_B, end, "variance_gap", radius
            )
            clean_BD, clean_BK, adversarial_BD, adversarial_BK = views = (
                *seen(network, images_BCHW),
                *seen(network, adversarial_BCHW),
            )
            finite_B = finite(*views)
            clean.add(clean_BD[finite_B])
            adversarial.add(adversarial_BD[finite_B])
            gram += gaps(
                gram_variances(clean_BK[finite_B]), gram_variances(adversarial_BK[finite_B])
            ).tolist()
            standing += int(((adversarial_BK.argmax(dim=1) == labels_B) & finite_B).sum())
            missing += int((~finite_B).sum())
            yield end
    by_channel = gaps(clean.variance(), adversarial.variance())
    yield {
        "radius": radius,
        "accuracy": standing / len(subject.images),
        "features": mean(by_channel),
        "gram": mean(torch.tensor(gram)),
        "channels_left_out": len(clean.variance()) - len(by_channel),
        "images_left_out": missing,
    }


def summary(points: list[Point], radius: float) -> dict[str, Any]:
    """The gaps at the subject's radius, all points, and by kind the line of accuracy in % over the gap in %, with its r."""
    (own,) = (point for point in points if point["radius"] == radius)
    lines = {}
    for kind in KINDS:
        pairs = [
            (gap, 100 * share)
            for it in points
            if (gap := it[kind]) is not None and (share := it["accuracy"]) is not None
        ]
        line = fitted([gap for gap, _ in pairs], [accuracy for _, accuracy in pairs])
        lines[kind] = None if line is None else asdict(line)
    return {**{kind: own[kind] for kind in KINDS}, "points": points, "lines": lines}


class Moments:
    """Sums of features and of their squares, in double precision."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, features_BD: Tensor) -> None:
        features_BD = features_BD.double().cpu()
        self.count += len(features_BD)
        self.total = self.total + features_BD.sum(dim=0)
        self.squares = self.squares + features_BD.square().sum(dim=0)

    def variance(self) -> Tensor:
        """[D], divided by N."""
        count = max(1, self.count)
        return (self.squares / count - (self.total / count).square()).clamp_min(0)


def seen(network: Classifier, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Features [B, D] and probabilities [B, K]."""
    with torch.no_grad():
        found = forward(network, images_BCHW)
    return found.features_BD, found.probabilities_BK


def finite(*views_BX: Tensor) -> Tensor:
    """Which images are finite in every view, [B] bool."""
    return torch.stack([view_BX.isfinite().all(dim=1) for view_BX in views_BX]).all(dim=0)


def gram_variances(probabilities_BK: Tensor) -> Tensor:
    """Of each column of P P' / K, [B]."""
    if not len(probabilities_BK):
        return torch.zeros(0)
    probabilities_BK = probabilities_BK.double().cpu()
    return (probabilities_BK @ probabilities_BK.T / probabilities_BK.shape[1]).var(
        dim=0, correction=0
    )


def mean(gaps_D: Tensor) -> float | None:
    """None where no channel says anything."""
    return float(gaps_D.mean()) if len(gaps_D) else None


def gaps(clean_D: Tensor, adversarial_D: Tensor) -> Tensor:
    """In %, of the channels whose clean variance says something."""
    kept_D = clean_D > SMALLEST
    return 100 * (adversarial_D[kept_D] - clean_D[kept_D]).abs() / clean_D[kept_D]
