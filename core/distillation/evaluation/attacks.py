"""The attacks that reported robust accuracy is measured under. B batch, K classes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from core.distillation.adversaries import pgd
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import CwAttack, PgdAttack


def wrong(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """Which images are not classified as their label, [B] bool. Logits that are not finite classify as nothing."""
    return (logits_BK.argmax(dim=1) != labels_B) | ~logits_BK.isfinite().all(dim=1)


class Outcome(NamedTuple):
    """Of an attack on a batch, [B] bool each."""

    standing_B: Tensor
    """Which images its last iterate leaves correct."""
    non_finite_B: Tensor
    """Which of them ended at logits that are not finite: they do not stand."""


def judged(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> Outcome:
    """The images as they are."""
    with torch.no_grad():
        logits_BK = network(images_BCHW)
    return Outcome(~wrong(logits_BK, labels_B), ~logits_BK.isfinite().all(dim=1))


def correct(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
    """Which images are classified as their label, [B] bool."""
    return judged(network, images_BCHW, labels_B).standing_B


def survives(
    attack: PgdAttack | CwAttack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Which images stand, [B] bool: see ``outcome``."""
    return outcome(attack, network, images_BCHW, labels_B, generator).standing_B


def outcome(
    attack: PgdAttack | CwAttack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator,
) -> Outcome:
    """What the attack's last iterate leaves correct: the literature's PGD and CW accuracy. With restarts, an image stands if it
    stands under all of them.

    An image that is wrong when clean may come out right; it is counted as it comes out. The network must be in eval mode, fp32.
    """
    standing_B = torch.ones_like(labels_B, dtype=torch.bool)
    non_finite_B = ~standing_B
    for _ in range(getattr(attack, "restarts", 1)):
        adversarial_BCHW = attacked(attack, network, images_BCHW, labels_B, generator)
        found = judged(network, adversarial_BCHW, labels_B)
        standing_B, non_finite_B = standing_B & found.standing_B, non_finite_B | found.non_finite_B
    return Outcome(standing_B, non_finite_B)


def attacked(
    attack: PgdAttack | CwAttack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Adversarial images, [B, C, H, W] in [0, 1], of one start of the attack."""
    if attack.name == "pgd":
        return pgd_images(attack, network, images_BCHW, labels_B, generator)
    return cw_images(attack, network, images_BCHW, labels_B, generator)


def pgd_images(
    attack: PgdAttack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """PGD on cross entropy from a uniform start: adversarial images, [B, C, H, W] in [0, 1]."""
    assert attack.radius is not None
    assert attack.step_size is not None
    return pgd(
        lambda images: cross_entropy(network(images), labels_B, reduction="none"),
        images_BCHW,
        radius=attack.radius,
        step_size=attack.step_size,
        steps=attack.steps,
        generator=generator,
    )


def cw_images(
    attack: CwAttack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """CW-infinity: projected ascent on the margin loss of Carlini and Wagner from a uniform start."""
    assert attack.radius is not None
    assert attack.step_size is not None
    return pgd(
        lambda images: margin_loss(network(images), labels_B, attack.confidence),
        images_BCHW,
        radius=attack.radius,
        step_size=attack.step_size,
        steps=attack.steps,
        generator=generator,
    )


def margin_loss(logits_BK: Tensor, labels_B: Tensor, confidence: float = 50.0) -> Tensor:
    """-max(z_y - max of the other z + confidence, 0) per example, [B]: rises until a wrong class leads by ``confidence``."""
    true_BK = one_hot(labels_B, logits_BK.shape[1]).bool()
    right_B = logits_BK[true_BK]
    wrong_B = logits_BK.masked_fill(true_BK, -torch.inf).amax(dim=1)
    return -(right_B - wrong_B + confidence).clamp_min(0)
