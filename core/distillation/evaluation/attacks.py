"""The attacks that reported robust accuracy is measured under. B batch, K classes."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from core.distillation.adversaries import pgd
from core.distillation.models.network import Classifier
from core.spec.evaluation import CwAttack, PgdAttack


def wrong(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """Which images are not classified as their label, [B] bool. Logits that are not finite classify as nothing."""
    return (logits_BK.argmax(dim=1) != labels_B) | ~logits_BK.isfinite().all(dim=1)


def correct(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
    """Which images are classified as their label, [B] bool."""
    with torch.no_grad():
        return ~wrong(network(images_BCHW), labels_B)


def survives(
    attack: PgdAttack | CwAttack, network: Classifier, images_BCHW: Tensor, labels_B: Tensor, generator: torch.Generator
) -> Tensor:
    """Which images the attack's last iterate leaves correct, [B] bool: the literature's PGD and CW accuracy.

    An image that is wrong when clean may come out right; it is counted as it comes out. The network must be in eval mode, fp32.
    """
    if attack.name == "pgd":
        return _pgd(attack, network, images_BCHW, labels_B, generator)
    return _cw(attack, network, images_BCHW, labels_B, generator)


def _pgd(attack: PgdAttack, network: Classifier, images_BCHW: Tensor, labels_B: Tensor, generator: torch.Generator) -> Tensor:
    """PGD on cross entropy from a uniform start; with restarts, an image survives if it survives them all."""
    standing = torch.ones_like(labels_B, dtype=torch.bool)
    for _ in range(attack.restarts):
        standing &= correct(network, pgd_images(attack, network, images_BCHW, labels_B, generator), labels_B)
    return standing


def pgd_images(
    attack: PgdAttack, network: Classifier, images_BCHW: Tensor, labels_B: Tensor, generator: torch.Generator
) -> Tensor:
    """Adversarial images, [B, C, H, W] in [0, 1], of one start of the attack."""
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


def _cw(attack: CwAttack, network: Classifier, images_BCHW: Tensor, labels_B: Tensor, generator: torch.Generator) -> Tensor:
    """CW-infinity: projected ascent on the margin loss of Carlini and Wagner from a uniform start."""
    assert attack.radius is not None
    assert attack.step_size is not None
    adversarial = pgd(
        lambda images: margin_loss(network(images), labels_B, attack.confidence),
        images_BCHW,
        radius=attack.radius,
        step_size=attack.step_size,
        steps=attack.steps,
        generator=generator,
    )
    return correct(network, adversarial, labels_B)


def margin_loss(logits_BK: Tensor, labels_B: Tensor, confidence: float = 50.0) -> Tensor:
    """-max(z_y - max of the other z + confidence, 0) per example, [B]: rises until a wrong class leads by ``confidence``."""
    true_BK = one_hot(labels_B, logits_BK.shape[1]).bool()
    right_B = logits_BK[true_BK]
    wrong_B = logits_BK.masked_fill(true_BK, -torch.inf).amax(dim=1)
    return -(right_B - wrong_B + confidence).clamp_min(0)
