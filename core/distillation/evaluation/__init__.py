"""Clean and robust accuracy: correct under attack / ALL images. Eval mode, fp32, every random start seeded."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.data.images import Images
from core.distillation.evaluation.attacks import correct, survives
from core.distillation.models.network import Classifier
from core.distillation.views import convolutions_in, mode
from core.spec.evaluation import Attack


@dataclass(frozen=True)
class Accuracy:
    """Share of all images, and of each class's images, in [0, 1]; None for a class that has no image."""

    overall: float
    per_class: list[float | None]
    images: int


def measure(
    network: Classifier, images: Images, attack: Attack | None, *, classes: int, batch_size: int, seed: int, index: int = 0
) -> Iterator[int | Accuracy]:
    """Yields the number of images done after each batch, then the accuracy: clean where ``attack`` is None.

    The random starts are a function of ``seed``, ``index`` (the attack's place in the spec) and of where the batch begins:
    another ``batch_size`` draws others. Between two yields the network is in eval mode; closing the generator restores it.
    """
    standing: list[Tensor] = []
    with mode(network, "eval"), convolutions_in("fp32"):
        for begin in range(0, len(images), batch_size):
            indices = torch.arange(begin, min(begin + batch_size, len(images)), device=images.labels_N.device)
            images_BCHW, labels_B = images.batch(indices)
            if attack is None:
                standing.append(correct(network, images_BCHW, labels_B))
            else:
                generator = seeds.generator(images_BCHW.device, seed, "evaluation", index, begin)
                standing.append(survives(attack, network, images_BCHW, labels_B, generator))
            yield begin + len(indices)
    yield accuracy(torch.cat(standing), images.labels_N, classes)


def accuracy(standing_N: Tensor, labels_N: Tensor, classes: int) -> Accuracy:
    counts = torch.bincount(labels_N, minlength=classes).tolist()
    hits = torch.bincount(labels_N[standing_N], minlength=classes).tolist()
    per_class = [hit / count if count else None for hit, count in zip(hits, counts, strict=True)]
    return Accuracy(sum(hits) / len(labels_N), per_class, len(labels_N))
