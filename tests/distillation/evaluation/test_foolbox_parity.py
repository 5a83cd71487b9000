"""PGD-20 and CW-infinity here and in foolbox, on one network, the same images and with the same settings."""

from collections.abc import Callable
from typing import Any

import eagerpy
import pytest
import torch
from foolbox import PyTorchModel
from foolbox.attacks import LinfProjectedGradientDescentAttack
from torch import Tensor

from core.distillation.evaluation.attacks import survives
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack
from tests.distillation.evaluation.robust import robust_network, some_images

IMAGES = 200
RADIUS = 0.15
PGD = ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4)
CW = ResolvedCwAttack(radius=RADIUS, step_size=0.003 / (8 / 255) * RADIUS)


class Cw(LinfProjectedGradientDescentAttack):  # type: ignore[misc]
    """CW-infinity as foolbox would have it: its PGD on the margin loss of Carlini and Wagner."""

    def get_loss_fn(self, model: Any, labels: Any) -> Callable[[Any], Any]:
        def loss(inputs: Any) -> Any:
            logits = model(inputs)
            own = eagerpy.onehot_like(logits, labels) > 0
            lead = eagerpy.where(own, logits, 0).sum(axis=-1) - eagerpy.where(
                own, -eagerpy.inf, logits
            ).max(axis=-1)
            return -eagerpy.maximum(lead + CW.confidence, 0).sum()

        return loss


KINDS = [(LinfProjectedGradientDescentAttack, PGD), (Cw, CW)]


def theirs(
    kind: type[LinfProjectedGradientDescentAttack],
    settings: ResolvedPgdAttack | ResolvedCwAttack,
    seed: int,
) -> Tensor:
    """Which images survive. Foolbox draws its start of torch's global generator as we do of ours: one seed, one start."""
    images, labels = some_images(IMAGES).batch(torch.arange(IMAGES))
    attack = kind(abs_stepsize=settings.step_size, steps=settings.steps, random_start=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, _, broken = attack(
            PyTorchModel(robust_network(), (0, 1), device="cpu"), images, labels, epsilons=RADIUS
        )
    return ~broken


def ours(settings: ResolvedPgdAttack | ResolvedCwAttack, seed: int) -> Tensor:
    images, labels = some_images(IMAGES).batch(torch.arange(IMAGES))
    return survives(settings, robust_network(), images, labels, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "settings"), KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_from_the_same_starts_the_same_images_survive_but_for_one_in_200(
    kind: type[LinfProjectedGradientDescentAttack],
    settings: ResolvedPgdAttack | ResolvedCwAttack,
    seed: int,
) -> None:
    mine, other = ours(settings, seed), theirs(kind, settings, seed)
    assert 0.3 < mine.float().mean() < 0.9
    assert (mine != other).sum() <= 1


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_from_other_starts_as_many_survive_but_for_one_in_200(
    kind: type[LinfProjectedGradientDescentAttack], settings: ResolvedPgdAttack | ResolvedCwAttack
) -> None:
    """On average: from one start to the next the number changes by more than that."""
    mine = sum(int(ours(settings, seed).sum()) for seed in range(10))
    other = sum(int(theirs(kind, settings, seed).sum()) for seed in range(10, 20))
    assert abs(mine - other) / 10 <= 1
