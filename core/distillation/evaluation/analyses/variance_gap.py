"""How much variances change under attack (Figs. 1 and 5 of the paper). N images, D features, K classes.

The gap, in %, is the mean over channels of |var_adv - var_clean| / var_clean. Its channels are the penultimate features; and, for
the Gram matrices P P' / K of each batch's predictions, the matrix's columns: an image's inner products with all others. That
second reading is a guess: the paper says "variances of prediction score-based gram matrices".
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.attacked import attacked, batches, networks
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.subject import Subject
from core.distillation.models.network import Classifier
from core.distillation.views import convolutions_in, mode, view
from core.spec.evaluation import VarianceGap

SMALLEST = 1e-12
"""A channel whose clean variance is below this says nothing, and is left out."""


def variance_gap(settings: VarianceGap, subject: Subject, state: dict[str, Any] | None = None) -> Iterator[Step | Finding]:
    """Each network is attacked for itself. Not resumed in between: sums of features would be a large state."""
    data: dict[str, Any] = {}
    every = networks(subject)
    for number, (name, network) in enumerate(every.items()):
        moments = {"clean": Moments(), "adversarial": Moments()}
        gram: list[float] = []
        with mode(network, "eval"), convolutions_in("fp32"):
            for end, images_BCHW, labels_B in batches(subject):
                adversarial_BCHW = attacked(network, subject, images_BCHW, labels_B, end, "variance_gap")
                views = {"clean": seen(network, images_BCHW), "adversarial": seen(network, adversarial_BCHW)}
                for kind, (features_BD, _) in views.items():
                    moments[kind].add(features_BD)
                gram += gaps(*(gram_variances(views[kind][1]) for kind in ("clean", "adversarial"))).tolist()
                yield Step(number * len(subject.images) + end, len(every) * len(subject.images), {})
        by_channel = gaps(moments["clean"].variance(), moments["adversarial"].variance())
        data[name] = {
            "features": mean(by_channel),
            "gram": mean(torch.tensor(gram)),
            "channels": len(by_channel),
            "channels_left_out": len(moments["clean"].variance()) - len(by_channel),
        }
    gaps_found = {f"variance_gap_{kind}": data["network"][kind] for kind in ("features", "gram")}
    values = {name: gap for name, gap in gaps_found.items() if gap is not None}
    yield Finding(None, values=values, data=data)


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
        return (self.squares / self.count - (self.total / self.count).square()).clamp_min(0)


def seen(network: Classifier, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        found = view(network, images_BCHW)
    return found.features_BD, found.probabilities_BK


def gram_variances(probabilities_BK: Tensor) -> Tensor:
    """Of each column of P P' / K, [B]."""
    probabilities_BK = probabilities_BK.double().cpu()
    return (probabilities_BK @ probabilities_BK.T / probabilities_BK.shape[1]).var(dim=0, correction=0)


def mean(gaps_D: Tensor) -> float | None:
    """None where no channel says anything."""
    return float(gaps_D.mean()) if len(gaps_D) else None


def gaps(clean_D: Tensor, adversarial_D: Tensor) -> Tensor:
    """In %, of the channels whose clean variance says something."""
    kept_D = clean_D > SMALLEST
    return 100 * (adversarial_D[kept_D] - clean_D[kept_D]).abs() / clean_D[kept_D]
