"""Clean and robust accuracy of networks with known answers."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.distillation.data.images import Images
from core.distillation.evaluation import Finding, Step, last_finding
from core.distillation.evaluation.accuracy import AccuracySettings, accuracy, accuracy_finding
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack
from core.summary_statistics import wilson_interval
from tests.distillation.evaluation.builders import PixelClassifier, target

RADIUS = 20 / 255
PGD = ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4)
CW = ResolvedCwAttack(radius=RADIUS, step_size=RADIUS / 4)


class Threshold(PixelClassifier):
    """Images of one pixel: class 1 above 127.5 / 255, else class 0; never a third class."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(10.0))

    def classify(self, features_BD: Tensor) -> Tensor:
        score_B = self.slope * (features_BD[:, 0] - 0.5)
        return torch.stack([-score_B, score_B, torch.full_like(score_B, -20.0)], dim=1)


class Trap(PixelClassifier):
    """Class 1 where the pixel is above 0.52, without a slope: only the random start decides."""

    def classify(self, features_BD: Tensor) -> Tensor:
        trapped_B = (features_BD[:, 0] > 0.52).float()
        return torch.stack([1 - trapped_B, trapped_B], dim=1) + 0 * features_BD


def pixels(values: list[int], labels: list[int]) -> Images:
    return Images(
        torch.tensor(values, dtype=torch.uint8)[:, None, None, None], torch.tensor(labels)
    )


# The boundary is at 127.5 and the radius 20 values wide: 108 to 147 are within reach of it.
VALUES = [0, 50, 107, 108, 120, 127, 200, 128, 147, 148, 255, 90, 140, 30]
LABELS = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2]


def expected(mask: str, per_class: list[float | None], **counts: int) -> Finding:
    """The finding of an accuracy; ``mask`` has a 1 for each correct image."""
    images = len(mask)
    value = mask.count("1") / images
    interval = list(wilson_interval(value, images))
    data = {"per_class": per_class, "images": images, "interval": interval, **counts}
    return Finding(value, data=data, mask=mask)


CLEAN = expected("11111101111010", [6 / 7, 5 / 6, 0.0], non_finite=0)
ROBUST = expected("11100000011000", [3 / 7, 2 / 6, 0.0], non_finite=0)


def measured(
    network: Classifier, images: Images, settings: AccuracySettings, **changes: Any
) -> Finding:
    return last_finding(accuracy(target(network, images, **({"classes": 3} | changes)), settings))


@pytest.mark.parametrize("batch_size", [1, 4, 14, 100])
def test_clean_accuracy_is_the_share_of_all_and_of_each_class(batch_size: int) -> None:
    images = pixels(VALUES, LABELS)
    assert measured(Threshold(), images, None, batch_size=batch_size) == CLEAN


@pytest.mark.parametrize(
    "attack", [PGD, CW, ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4, restarts=3)]
)
@pytest.mark.parametrize("batch_size", [4, 100])
def test_robust_accuracy_is_correct_under_attack_over_all_images(
    attack: ResolvedPgdAttack | ResolvedCwAttack, batch_size: int
) -> None:
    images = pixels(VALUES, LABELS)
    assert measured(Threshold(), images, attack, batch_size=batch_size) == ROBUST


def test_attack_of_radius_zero_gives_the_clean_accuracy() -> None:
    nothing = ResolvedPgdAttack(radius=0.0, step_size=0.0)
    finding = measured(Threshold(), pixels(VALUES, LABELS), nothing, batch_size=5)
    assert finding.value == CLEAN.value


def test_robust_accuracy_falls_with_the_radius() -> None:
    images = pixels(VALUES, LABELS)
    accuracies = [
        measured(
            Threshold(), images, ResolvedPgdAttack(radius=value / 255, step_size=value / 1020)
        ).value
        for value in (0, 2, 10, 20, 40, 130)
    ]
    # Correct images with their distances from the boundary:
    # 127.5 77.5 20.5 19.5 7.5 0.5 | 0.5 19.5 20.5 127.5 12.5.
    assert accuracies == [pytest.approx(count / 14) for count in (11, 9, 8, 5, 3, 0)]


def test_steps_count_images_and_the_accuracy_comes_last() -> None:
    """There is a step after every batch."""
    *steps, last = accuracy(
        target(Threshold(), pixels(VALUES, LABELS), classes=3, batch_size=4), None
    )
    assert [(step.completed, step.total) for step in steps if isinstance(step, Step)] == [
        (4, 14),
        (8, 14),
        (12, 14),
        (14, 14),
    ]
    assert last == CLEAN


def test_accuracy_resumes_from_any_step_to_the_same_finding() -> None:
    attack = ResolvedPgdAttack(radius=0.1, step_size=0.01)
    images = pixels([127 + offset for offset in range(-20, 20)], [0, 1] * 20)
    trap = target(Trap(), images, classes=3, batch_size=7, seed=4)
    *steps, finding = accuracy(trap, attack)
    for step in steps:
        assert isinstance(step, Step)
        state = json.loads(json.dumps(step.state))
        assert last_finding(accuracy(trap, attack, state)) == finding


def test_class_without_images_has_no_accuracy() -> None:
    finding = measured(Threshold(), pixels([200, 10], [1, 1]), None, classes=4, batch_size=2)
    assert finding == expected("10", [None, 0.5, None, None], non_finite=0)


def test_accuracy_by_hand() -> None:
    correct_N = torch.tensor([True, False, True, True, False])
    assert accuracy_finding(correct_N, torch.tensor([0, 0, 0, 2, 2]), 3) == expected(
        "10110", [2 / 3, None, 1 / 2]
    )


# -- modes


def network_with_batch_norm() -> SmallCnn:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallCnn(3, width=2, channels=1)
    with torch.no_grad():
        network.linear.weight.mul_(20)
    return network


def random_images(count: int = 30) -> Images:
    generator = torch.Generator().manual_seed(1)
    values = torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return Images(values, torch.randint(0, 3, (count,), generator=generator))


@pytest.mark.parametrize("attack", [None, PGD, CW])
def test_accuracy_ignores_the_mode_before_and_restores_it(attack: AccuracySettings) -> None:
    network = network_with_batch_norm()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    findings = []
    for training in (True, False):
        network.train(training)
        findings.append(measured(network, random_images(), attack, batch_size=7))
        assert network.training is training
        assert network.bn1.training is training
    assert findings[0] == findings[1]
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_accuracy_is_that_of_the_network_in_eval_mode() -> None:
    network = network_with_batch_norm()
    images = random_images()
    images_BCHW, labels_B = images.batch(torch.arange(30))
    is_correct_B = network.eval()(images_BCHW).argmax(1) == labels_B
    finding = measured(network.train(), images, None, batch_size=30)
    assert finding.value == pytest.approx(is_correct_B.float().mean().item())


def test_mode_is_restored_where_a_measure_is_closed_early() -> None:
    network = network_with_batch_norm().train()
    steps = accuracy(target(network, random_images(), classes=3, batch_size=7), None)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert network.training


# -- seeds


def trap_accuracy(
    seed: int, attack_index: int = 0, batch_size: int = 50, count: int = 200
) -> float:
    attack = ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4, steps=1)
    images = pixels([127] * count, [0] * count)
    trap = target(
        Trap(), images, classes=2, batch_size=batch_size, seed=seed, attack_index=attack_index
    )
    return last_finding(accuracy(trap, attack)).require_value()


def test_random_starts_are_a_function_of_seed_attack_and_batch() -> None:
    assert trap_accuracy(seed=0) == trap_accuracy(seed=0)
    assert len({trap_accuracy(seed=seed) for seed in range(6)}) > 1
    assert len({trap_accuracy(seed=0, attack_index=index) for index in range(6)}) > 1
    assert len({trap_accuracy(seed=0, batch_size=size) for size in (10, 25, 50, 100)}) > 1


def test_batches_do_not_share_their_starts() -> None:
    two_batches = [trap_accuracy(seed, batch_size=20, count=40) for seed in range(5)]
    first_batch = [trap_accuracy(seed, batch_size=20, count=20) for seed in range(5)]
    assert two_batches != first_batch


def test_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    first = trap_accuracy(seed=0)
    numbers = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), numbers)
    torch.manual_seed(2)
    assert trap_accuracy(seed=0) == first


@pytest.mark.parametrize("row", [0, 1])
def test_non_finite_logits_count_as_misclassified(row: int) -> None:
    class SometimesNan(Threshold):
        def classify(self, features_BD: Tensor) -> Tensor:
            logits_BK = super().classify(features_BD).clone()
            logits_BK[row] = float("nan")
            return logits_BK

    finding = measured(SometimesNan(), pixels([10, 20, 30], [0, 0, 0]), None, batch_size=3)
    mask = "011" if row == 0 else "101"
    assert finding == expected(mask, [2 / 3, None, None], non_finite=1)
