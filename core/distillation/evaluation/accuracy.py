"""Clean accuracy, and robust accuracy under PGD and CW, batch by batch. N images."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.evaluation.attacks import (
    Classification,
    classify,
    classify_under_attack,
)
from core.distillation.evaluation.masks import mask_to_text, text_to_mask
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack
from core.summary_statistics import wilson_interval

AccuracySettings = ResolvedPgdAttack | ResolvedCwAttack | None
"""None: clean accuracy."""


def accuracy(
    target: EvaluationTarget, settings: AccuracySettings, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Measure clean or robust accuracy, with a step after each batch.

    Random starts are a function of ``seed``, ``attack_index`` and the index of the batch's first
    image. Between two yields the network is in eval mode; closing the generator restores its mode.
    """
    state = resume_state(state, standing="", non_finite=0)
    images = len(target.images)
    with network_mode(target.network, "eval"), convolution_precision("fp32"):
        for start in range(len(state["standing"]), images, target.batch_size):
            result = _classify_batch(target, settings, start)
            state = {
                "standing": state["standing"] + mask_to_text(result.correct_B),
                "non_finite": state["non_finite"] + int(result.non_finite_B.sum()),
            }
            yield Step(len(state["standing"]), images, state)
    correct_N = text_to_mask(state["standing"])
    finding = accuracy_finding(correct_N, target.images.labels_N.cpu(), target.classes)
    yield replace(finding, data={**finding.data, "non_finite": state["non_finite"]})


def _classify_batch(
    target: EvaluationTarget, settings: AccuracySettings, start: int
) -> Classification:
    end = min(start + target.batch_size, len(target.images))
    indices_B = torch.arange(start, end, device=target.images.labels_N.device)
    images_BCHW, labels_B = target.images.batch(indices_B)
    if settings is None:
        return classify(target.network, images_BCHW, labels_B)
    generator = seeds.generator(
        images_BCHW.device, target.seed, "evaluation", target.attack_index, start
    )
    return classify_under_attack(settings, target.network, images_BCHW, labels_B, generator)


def accuracy_finding(correct_N: Tensor, labels_N: Tensor, classes: int) -> Finding:
    """Return the share of correct images with its 95 % interval, its mask, and the share by class.

    Shares are in [0, 1]; that of a class without images is None.
    """
    images_K = torch.bincount(labels_N, minlength=classes).tolist()
    correct_K = torch.bincount(labels_N[correct_N], minlength=classes).tolist()
    per_class = [
        correct / images if images else None
        for correct, images in zip(correct_K, images_K, strict=True)
    ]
    share = sum(correct_K) / len(labels_N)
    interval = list(wilson_interval(share, len(labels_N)))
    return Finding(
        share,
        data={"per_class": per_class, "images": len(labels_N), "interval": interval},
        mask=mask_to_text(correct_N),
    )
