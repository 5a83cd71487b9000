"""Clean accuracy, and robust accuracy under PGD and CW, batch by batch. N images."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.data.images import ImageSource
from core.distillation.evaluation.attacks import judged, outcome
from core.distillation.evaluation.masks import mask, text
from core.distillation.evaluation.steps import Finding, Step, begun
from core.distillation.forward import convolutions_in, mode
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import CwAttack, PgdAttack
from core.summary_statistics import wilson


def measure(
    network: Classifier,
    images: ImageSource,
    attack: PgdAttack | CwAttack | None,
    *,
    classes: int,
    batch_size: int,
    seed: int,
    index: int = 0,
    state: dict[str, Any] | None = None,
) -> Iterator[Step | Finding]:
    """A step after each batch, then the accuracy: clean where ``attack`` is None.

    The random starts are a function of ``seed``, ``index`` (the attack's place in the spec) and of where the batch begins:
    another ``batch_size`` draws others. Between two yields the network is in eval mode; closing the generator restores it.
    """
    state = begun(state, standing="", non_finite=0)
    standing, non_finite = state["standing"], state["non_finite"]
    with mode(network, "eval"), convolutions_in("fp32"):
        for begin in range(len(standing), len(images), batch_size):
            indices = torch.arange(
                begin, min(begin + batch_size, len(images)), device=images.labels_N.device
            )
            images_BCHW, labels_B = images.batch(indices)
            if attack is None:
                found = judged(network, images_BCHW, labels_B)
            else:
                generator = seeds.generator(images_BCHW.device, seed, "evaluation", index, begin)
                found = outcome(attack, network, images_BCHW, labels_B, generator)
            standing += text(found.standing_B)
            non_finite += int(found.non_finite_B.sum())
            yield Step(len(standing), len(images), {"standing": standing, "non_finite": non_finite})
    finding = accuracy(mask(standing), images.labels_N.cpu(), classes)
    yield replace(finding, data={**finding.data, "non_finite": non_finite})


def accuracy(standing_N: Tensor, labels_N: Tensor, classes: int) -> Finding:
    """Share of all images, with its 95 % interval, and of each class's images, in [0, 1]; None for a class that has no image."""
    counts = torch.bincount(labels_N, minlength=classes).tolist()
    hits = torch.bincount(labels_N[standing_N], minlength=classes).tolist()
    per_class = [hit / count if count else None for hit, count in zip(hits, counts, strict=True)]
    share = sum(hits) / len(labels_N)
    interval = list(wilson(share, len(labels_N)))
    return Finding(
        share, data={"per_class": per_class, "images": len(labels_N), "interval": interval}
    )
