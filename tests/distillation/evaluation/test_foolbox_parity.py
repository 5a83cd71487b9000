"""PGD-20 and CW-infinity here and in foolbox: same network, same images, same settings."""

from collections.abc import Callable
from typing import Any

import eagerpy
import pytest
import torch
from foolbox.attacks.projected_gradient_descent import LinfProjectedGradientDescentAttack
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor

from core.distillation.evaluation.attacks import classify_under_attack
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack
from tests.distillation.evaluation.builders import digit_images, robust_network

IMAGES = 200
RADIUS = 0.15
PGD = ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4)
CW = ResolvedCwAttack(radius=RADIUS, step_size=0.003 / (8 / 255) * RADIUS)


class FoolboxCw(LinfProjectedGradientDescentAttack):
    """CW-infinity in foolbox's terms: its PGD on the margin loss of Carlini and Wagner."""

    def get_loss_fn(self, model: Any, labels: Any) -> Callable[[Any], Any]:
        def loss(inputs: Any) -> Any:
            logits = model(inputs)
            is_label = eagerpy.onehot_like(logits, labels) > 0
            label_logit = eagerpy.where(is_label, logits, 0).sum(axis=-1)
            best_other = eagerpy.where(is_label, -eagerpy.inf, logits).max(axis=-1)
            return -eagerpy.maximum(label_logit - best_other + CW.confidence, 0).sum()

        return loss


FoolboxAttack = type[LinfProjectedGradientDescentAttack]
Settings = ResolvedPgdAttack | ResolvedCwAttack
KINDS = [(LinfProjectedGradientDescentAttack, PGD), (FoolboxCw, CW)]


def foolbox_robust(kind: FoolboxAttack, settings: Settings, seed: int) -> Tensor:
    """Return which images are robust, by foolbox.

    It draws its start from torch's global generator as the attack here does from its own, so the
    same seed gives the same start.
    """
    images_BCHW, labels_B = digit_images(IMAGES).batch(torch.arange(IMAGES))
    attack = kind(abs_stepsize=settings.step_size, steps=settings.steps, random_start=True)
    model = PyTorchModel(robust_network(), (0, 1), device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, _, misclassified_B = attack(model, images_BCHW, labels_B, epsilons=RADIUS)
    robust_B: Tensor = ~misclassified_B
    return robust_B


def robust(settings: Settings, seed: int) -> Tensor:
    images_BCHW, labels_B = digit_images(IMAGES).batch(torch.arange(IMAGES))
    generator = torch.Generator().manual_seed(seed)
    result = classify_under_attack(settings, robust_network(), images_BCHW, labels_B, generator)
    return result.correct_B


@pytest.mark.parametrize(("kind", "settings"), KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_same_starts_leave_the_same_images_robust(
    kind: FoolboxAttack, settings: Settings, seed: int
) -> None:
    """All but one in 200."""
    robust_B = robust(settings, seed)
    foolbox_robust_B = foolbox_robust(kind, settings, seed)
    assert 0.3 < robust_B.float().mean() < 0.9
    assert (robust_B != foolbox_robust_B).sum() <= 1


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_other_starts_leave_as_many_images_robust(kind: FoolboxAttack, settings: Settings) -> None:
    """On average over thirty starts, but for one image: single starts differ by more than that."""
    count = sum(int(robust(settings, seed).sum()) for seed in range(30))
    foolbox_count = sum(int(foolbox_robust(kind, settings, seed).sum()) for seed in range(30, 60))
    assert abs(count - foolbox_count) / 30 <= 1
