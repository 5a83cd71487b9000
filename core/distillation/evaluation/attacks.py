"""PGD and CW-infinity, under which robust accuracy is reported. B batch, K classes."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from core.distillation.adversaries import pgd
from core.distillation.models.network import Classifier
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack


class Classification(NamedTuple):
    """Which images of a batch are classified correctly, clean or under attack. Each [B] bool."""

    correct_B: Tensor
    non_finite_B: Tensor
    """Which images have logits that are not finite. These are never correct."""


def is_misclassified(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """Return which images are not classified as their label, [B] bool.

    Logits that are not finite are a misclassification whatever their argmax.
    """
    return (logits_BK.argmax(dim=1) != labels_B) | ~logits_BK.isfinite().all(dim=1)


def classify(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> Classification:
    """Classify the images as they are."""
    with torch.no_grad():
        logits_BK = network(images_BCHW)
    return Classification(~is_misclassified(logits_BK, labels_B), ~logits_BK.isfinite().all(dim=1))


def is_correct(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
    """Return which images are classified as their label, [B] bool."""
    return classify(network, images_BCHW, labels_B).correct_B


def classify_under_attack(
    attack: ResolvedPgdAttack | ResolvedCwAttack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator,
) -> Classification:
    """Classify the attack's last iterates: PGD and CW accuracy as the literature reports them.

    With several restarts an image is correct if it is correct after every one of them. An image
    that is misclassified when clean may become correct, and then counts as correct. The network
    must be in eval mode and fp32.
    """
    correct_B = torch.ones_like(labels_B, dtype=torch.bool)
    non_finite_B = ~correct_B
    restarts = attack.restarts if attack.name == "pgd" else 1
    for _ in range(restarts):
        adversarial_BCHW = adversarial_images(attack, network, images_BCHW, labels_B, generator)
        result = classify(network, adversarial_BCHW, labels_B)
        correct_B = correct_B & result.correct_B
        non_finite_B = non_finite_B | result.non_finite_B
    return Classification(correct_B, non_finite_B)


def adversarial_images(
    attack: ResolvedPgdAttack | ResolvedCwAttack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return adversarial images [B, C, H, W] in [0, 1], from one uniform random start.

    PGD ascends the cross entropy, CW-infinity the margin loss of Carlini and Wagner; both project
    onto the L-infinity ball after each step.
    """

    def loss(candidates_BCHW: Tensor) -> Tensor:
        logits_BK = network(candidates_BCHW)
        if attack.name == "cw":
            return margin_loss(logits_BK, labels_B, attack.confidence)
        return cross_entropy(logits_BK, labels_B, reduction="none")

    return pgd(
        loss,
        images_BCHW,
        radius=attack.radius,
        step_size=attack.step_size,
        steps=attack.steps,
        generator=generator,
    )


def margin_loss(logits_BK: Tensor, labels_B: Tensor, confidence: float = 50.0) -> Tensor:
    """-max(z_y - max of the other z + confidence, 0) per example, [B].

    It rises until a wrong class leads by ``confidence`` (Carlini and Wagner, 2017).
    """
    is_label_BK = one_hot(labels_B, logits_BK.shape[1]).bool()
    label_logit_B = logits_BK[is_label_BK]
    best_other_B = logits_BK.masked_fill(is_label_BK, -torch.inf).amax(dim=1)
    return -(label_logit_B - best_other_B + confidence).clamp_min(0)
