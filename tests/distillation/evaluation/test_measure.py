"""Clean and robust accuracy of networks with known answers."""

import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from core.distillation.data.images import Images
from core.distillation.evaluation import Finding, Step, accuracy, measure
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack
from core.summary_statistics import wilson_interval

RADIUS = 20 / 255
PGD = ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4)
CW = ResolvedCwAttack(radius=RADIUS, step_size=RADIUS / 4)


class Threshold(Classifier):
    """Of images of one pixel: class 1 above 127.5 / 255, else class 0; of a third class it never speaks."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")
        self.slope = nn.Parameter(torch.tensor(10.0))

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW

    def classify(self, features_BD: Tensor) -> Tensor:
        score = self.slope * (features_BD[:, 0] - 0.5)
        return torch.stack([-score, score, torch.full_like(score, -20.0)], dim=1)


class Trap(Classifier):
    """Class 1 where the pixel is above 0.52, and flat everywhere: only the random start decides."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW

    def classify(self, features_BD: Tensor) -> Tensor:
        trapped = (features_BD[:, 0] > 0.52).float()
        return torch.stack([1 - trapped, trapped], dim=1) + 0 * features_BD


def pixels(values: list[int], labels: list[int]) -> Images:
    return Images(
        torch.tensor(values, dtype=torch.uint8)[:, None, None, None], torch.tensor(labels)
    )


# The boundary is at 127.5 and the radius 20 values wide: 108 to 147 are within reach of the other side.
VALUES = [0, 50, 107, 108, 120, 127, 200, 128, 147, 148, 255, 90, 140, 30]
LABELS = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2]


def expected(value: float, per_class: list[float | None], images: int, **counts: int) -> Finding:
    return Finding(
        value,
        data={
            "per_class": per_class,
            "images": images,
            "interval": list(wilson_interval(value, images)),
            **counts,
        },
    )


CLEAN = expected(11 / 14, [6 / 7, 5 / 6, 0.0], 14, non_finite=0)
ROBUST = expected(5 / 14, [3 / 7, 2 / 6, 0.0], 14, non_finite=0)


def result(yielded: Iterator[Step | Finding]) -> Finding:
    *_, last = yielded
    assert isinstance(last, Finding)
    return last


@pytest.mark.parametrize("batch_size", [1, 4, 14, 100])
def test_clean_accuracy_is_the_share_of_all_images_and_of_each_class(batch_size: int) -> None:
    images = pixels(VALUES, LABELS)
    assert (
        result(measure(Threshold(), images, None, classes=3, batch_size=batch_size, seed=0))
        == CLEAN
    )


@pytest.mark.parametrize(
    "attack", [PGD, CW, ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4, restarts=3)]
)
@pytest.mark.parametrize("batch_size", [4, 100])
def test_robust_accuracy_counts_correct_under_attack_over_all_images(
    attack: ResolvedPgdAttack | ResolvedCwAttack, batch_size: int
) -> None:
    images = pixels(VALUES, LABELS)
    found = result(measure(Threshold(), images, attack, classes=3, batch_size=batch_size, seed=0))
    assert found == ROBUST


def test_an_attack_of_radius_zero_gives_the_clean_accuracy() -> None:
    nothing = ResolvedPgdAttack(radius=0.0, step_size=0.0)
    assert (
        result(
            measure(Threshold(), pixels(VALUES, LABELS), nothing, classes=3, batch_size=5, seed=0)
        ).value
        == CLEAN.value
    )


def test_robust_accuracy_falls_with_the_radius() -> None:
    found = [
        result(
            measure(
                Threshold(),
                pixels(VALUES, LABELS),
                ResolvedPgdAttack(radius=value / 255, step_size=value / 1020),
                classes=3,
                batch_size=100,
                seed=0,
            )
        ).value
        for value in (0, 2, 10, 20, 40, 130)
    ]
    # Survivors with their distance from the boundary: 127.5 77.5 20.5 19.5 7.5 0.5 | 0.5 19.5 20.5 127.5 12.5.
    assert found == [pytest.approx(count / 14) for count in (11, 9, 8, 5, 3, 0)]


def test_progress_is_the_number_of_images_done_after_every_batch_and_the_accuracy_comes_last() -> (
    None
):
    *steps, last = measure(
        Threshold(), pixels(VALUES, LABELS), None, classes=3, batch_size=4, seed=0
    )
    assert [(step.completed, step.total) for step in steps if isinstance(step, Step)] == [
        (4, 14),
        (8, 14),
        (12, 14),
        (14, 14),
    ]
    assert last == CLEAN


def test_a_measure_goes_on_from_any_of_its_steps_to_the_same_accuracy() -> None:
    attack = ResolvedPgdAttack(radius=0.1, step_size=0.01)
    images = pixels([127 + each for each in range(-20, 20)], [0, 1] * 20)
    common = {"classes": 3, "batch_size": 7, "seed": 4}
    *steps, whole = measure(Trap(), images, attack, **common)
    for step in steps:
        assert isinstance(step, Step)
        state = json.loads(json.dumps(step.state))
        assert result(measure(Trap(), images, attack, **common, state=state)) == whole


def test_a_class_without_images_has_no_accuracy() -> None:
    found = result(
        measure(Threshold(), pixels([200, 10], [1, 1]), None, classes=4, batch_size=2, seed=0)
    )
    assert found == expected(0.5, [None, 0.5, None, None], 2, non_finite=0)


def test_accuracy_by_hand() -> None:
    standing = torch.tensor([True, False, True, True, False])
    assert accuracy(standing, torch.tensor([0, 0, 0, 2, 2]), 3) == expected(
        3 / 5, [2 / 3, None, 1 / 2], 5
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
def test_the_result_does_not_depend_on_the_mode_before_and_the_mode_is_restored(
    attack: ResolvedPgdAttack | ResolvedCwAttack | None,
) -> None:
    network = network_with_batch_norm()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    found = []
    for training in (True, False):
        network.train(training)
        found.append(
            result(measure(network, random_images(), attack, classes=3, batch_size=7, seed=0))
        )
        assert network.training is training
        assert network.bn1.training is training
    assert found[0] == found[1]
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_it_is_the_networks_answer_in_eval_mode_that_counts() -> None:
    network, images = network_with_batch_norm(), random_images()
    batch, labels = images.batch(torch.arange(30))
    expected = (network.eval()(batch).argmax(1) == labels).float().mean().item()
    found = result(measure(network.train(), images, None, classes=3, batch_size=30, seed=0))
    assert found.value == pytest.approx(expected)


def test_the_mode_is_restored_where_the_measurement_is_given_up_half_way() -> None:
    network = network_with_batch_norm().train()
    measuring = measure(network, random_images(), None, classes=3, batch_size=7, seed=0)
    next(measuring)
    measuring.close()
    assert network.training


# -- seeds


def survivors(seed: int, index: int = 0, batch_size: int = 50, count: int = 200) -> float:
    images = pixels([127] * count, [0] * count)
    attack = ResolvedPgdAttack(radius=RADIUS, step_size=RADIUS / 4, steps=1)
    return result(
        measure(Trap(), images, attack, classes=2, batch_size=batch_size, seed=seed, index=index)
    ).value


def test_the_random_starts_are_a_function_of_the_seed_the_attacks_place_and_the_batch() -> None:
    assert survivors(seed=0) == survivors(seed=0)
    assert len({survivors(seed=seed) for seed in range(6)}) > 1
    assert len({survivors(seed=0, index=index) for index in range(6)}) > 1
    assert len({survivors(seed=0, batch_size=size) for size in (10, 25, 50, 100)}) > 1


def test_two_batches_do_not_share_their_starts() -> None:
    both = [survivors(seed, batch_size=20, count=40) for seed in range(5)]
    first = [survivors(seed, batch_size=20, count=20) for seed in range(5)]
    assert both != first


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    first = survivors(seed=0)
    expected = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(2)
    assert survivors(seed=0) == first


@pytest.mark.parametrize("place", [0, 1])
def test_logits_that_are_not_finite_count_as_not_correct(place: int) -> None:
    class Broken(Threshold):
        def classify(self, features_BD: Tensor) -> Tensor:
            logits_BK = super().classify(features_BD).clone()
            logits_BK[place] = float("nan")
            return logits_BK

    found = result(
        measure(Broken(), pixels([10, 20, 30], [0, 0, 0]), None, classes=3, batch_size=3, seed=0)
    )
    assert found == expected(2 / 3, [2 / 3, None, None], 3, non_finite=1)
