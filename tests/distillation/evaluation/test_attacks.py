"""The evaluation's attacks on networks of 1x1 images, whose worst points are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from core.distillation.evaluation.attacks import is_correct, margin_loss, survives
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import CwAttack, PgdAttack
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack


class Plane(Classifier):
    """Two classes on either side of w . x + b = 0; images [B, D, 1, 1]."""

    def __init__(self, weight: list[float], bias: float) -> None:
        super().__init__(channels=len(weight), normalization="none")
        self.weight, self.bias = (
            nn.Parameter(torch.tensor(weight)),
            nn.Parameter(torch.tensor(bias)),
        )

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW

    def classify(self, features_BD: Tensor) -> Tensor:
        score = features_BD @ self.weight + self.bias
        return torch.stack([-score, score], dim=1)


class Trap(Classifier):
    """Class 1 where the pixel is above 0.55, else class 0, and flat everywhere: only the random start can find the trap."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW

    def classify(self, features_BD: Tensor) -> Tensor:
        trapped = (features_BD[:, 0] > 0.55).float()
        return torch.stack([1 - trapped, trapped], dim=1) + 0 * features_BD


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


RADIUS = 0.1
ATTACKS = [
    ResolvedPgdAttack(radius=RADIUS, step_size=0.03),
    ResolvedCwAttack(radius=RADIUS, step_size=0.03),
    ResolvedPgdAttack(radius=RADIUS, step_size=0.03, restarts=3),
]


def batch_of_pixels(pixels: list[list[float]]) -> Tensor:
    return torch.tensor(pixels)[:, :, None, None]


@pytest.mark.parametrize("attack", ATTACKS)
def test_on_a_linear_classifier_an_image_survives_where_its_margin_exceeds_radius_times_the_1_norm(
    attack: ResolvedPgdAttack | ResolvedCwAttack,
) -> None:
    network = Plane([3.0, -1.0], -1.0).eval()
    pixels = [
        [0.55, 0.3],
        [0.52, 0.3],
        [0.6, 0.5],
        [0.5, 0.4],
        [0.3, 0.5],
        [0.45, 0.5],
        [0.9, 0.9],
        [0.7, 0.8],
    ]
    labels = [1, 1, 1, 1, 0, 0, 0, 1]
    expected = [
        (1 if label == 1 else -1) * (3 * x - y - 1) > RADIUS * (3 + 1)
        for (x, y), label in zip(pixels, labels, strict=True)
    ]
    found = survives(attack, network, batch_of_pixels(pixels), torch.tensor(labels), seeded())
    assert found.tolist() == expected
    assert any(expected)
    assert not all(expected)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_ball_is_clipped_to_0_to_1(attack: ResolvedPgdAttack | ResolvedCwAttack) -> None:
    # Class 1 above 0.04: from 0.06 the attack gets below it, from 0.2 it does not.
    network = Plane([1.0], -0.04).eval()
    found = survives(
        attack, network, batch_of_pixels([[0.06], [0.2]]), torch.tensor([1, 1]), seeded()
    )
    assert found.tolist() == [False, True]
    # Class 1 above -0.01: within the ball of 0.1, but not within [0, 1].
    network = Plane([1.0], 0.01).eval()
    found = survives(
        attack, network, batch_of_pixels([[0.0], [0.05]]), torch.tensor([1, 1]), seeded()
    )
    assert found.tolist() == [True, True]


@pytest.mark.parametrize(
    "attack",
    [ResolvedPgdAttack(radius=0.0, step_size=0.0), ResolvedCwAttack(radius=0.0, step_size=0.0)],
)
def test_at_radius_zero_what_is_correct_survives(
    attack: ResolvedPgdAttack | ResolvedCwAttack,
) -> None:
    network, labels = Plane([1.0], -0.5).eval(), torch.tensor([1, 0, 1, 0])
    images = batch_of_pixels([[0.6], [0.6], [0.4], [0.4]])
    assert torch.equal(
        survives(attack, network, images, labels, seeded()), is_correct(network, images, labels)
    )


def test_an_image_survives_restarts_if_it_survives_every_one_of_them() -> None:
    network, images, labels = (
        Trap().eval(),
        torch.full((64, 1, 1, 1), 0.5),
        torch.zeros(64, dtype=torch.long),
    )
    many = survives(
        ResolvedPgdAttack(radius=RADIUS, step_size=0.01, restarts=4),
        network,
        images,
        labels,
        seeded(5),
    )
    generator = seeded(5)
    single = ResolvedPgdAttack(radius=RADIUS, step_size=0.01)
    runs = torch.stack([survives(single, network, images, labels, generator) for _ in range(4)])
    assert torch.equal(many, runs.all(dim=0))
    # A quarter of all starts fall into the trap: 0.75 of the images survive one, 0.32 four.
    assert 0.55 < runs.float().mean().item() < 0.95
    assert many.float().mean().item() < runs.float().mean(dim=1).min().item()


@pytest.mark.parametrize(
    "attack",
    [
        ResolvedPgdAttack(radius=RADIUS, step_size=0.01),
        ResolvedCwAttack(radius=RADIUS, step_size=0.01),
    ],
)
def test_both_attacks_start_uniformly_in_the_ball_by_their_generator(
    attack: ResolvedPgdAttack | ResolvedCwAttack,
) -> None:
    network, images, labels = (
        Trap().eval(),
        torch.full((400, 1, 1, 1), 0.5),
        torch.zeros(400, dtype=torch.long),
    )
    one, again, other = (
        survives(attack, network, images, labels, seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.float().mean().item() == pytest.approx(0.75, abs=0.08)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_leaves_no_gradient_on_parameters(
    attack: ResolvedPgdAttack | ResolvedCwAttack,
) -> None:
    network = Plane([3.0, -1.0], -1.0).eval()
    survives(attack, network, batch_of_pixels([[0.5, 0.5]]), torch.tensor([1]), seeded())
    assert all(
        parameter.grad is None and parameter.requires_grad for parameter in network.parameters()
    )


class Watching(Plane):
    """A plane that keeps the last images it was asked about."""

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        self.last = normalized_BCHW.detach()
        return normalized_BCHW


def test_cw_climbs_to_its_own_confidence() -> None:
    # The boundary is at 0.5, and the label is class 1: without confidence the climb ends with the first step beyond it.
    network, images, labels = (
        Watching([5.0], -2.5).eval(),
        batch_of_pixels([[0.5]] * 20),
        torch.ones(20, dtype=torch.long),
    )
    highest = {}
    for confidence in (0.0, 50.0):
        attack = ResolvedCwAttack(radius=0.1, step_size=0.02, confidence=confidence)
        assert not survives(attack, network, images, labels, seeded()).any()
        highest[confidence] = network.last.max().item()
    assert 0.48 < highest[0.0] < 0.5
    assert highest[50.0] == pytest.approx(0.4)


# -- correct


class Fixed(Classifier):
    """Says the same of every batch."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__(channels=1, normalization="none")
        self.logits = torch.tensor(logits)

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW

    def classify(self, features_BD: Tensor) -> Tensor:
        return self.logits + 0 * features_BD


NOT_FINITE = [
    [1.0, 2.0, 0.0],
    [1.0, float("nan"), 0.0],
    [1.0, float("inf"), 0.0],
    [-float("inf"), 2.0, 0.0],
    [3.0, 2.0, 0.0],
]


def test_logits_that_are_not_finite_are_never_correct() -> None:
    network, images, labels = (
        Fixed(NOT_FINITE).eval(),
        torch.full((5, 1, 1, 1), 0.5),
        torch.ones(5, dtype=torch.long),
    )
    assert is_correct(network, images, labels).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    "attack",
    [ResolvedPgdAttack(radius=0.1, step_size=0.1), ResolvedCwAttack(radius=0.1, step_size=0.1)],
)
def test_logits_that_are_not_finite_survive_no_attack(
    attack: ResolvedPgdAttack | ResolvedCwAttack,
) -> None:
    network, images, labels = (
        Fixed(NOT_FINITE).eval(),
        torch.full((5, 1, 1, 1), 0.5),
        torch.ones(5, dtype=torch.long),
    )
    found = survives(attack, network, images, labels, seeded()).tolist()
    assert found == [True, False, False, False, False]


# -- the margin


def test_the_margin_loss_by_hand() -> None:
    logits, labels = (
        torch.tensor([[2.0, 1.0, 5.0], [2.0, 1.0, 5.0], [0.0, 60.0, 3.0]]),
        torch.tensor([0, 2, 0]),
    )
    # 2 - 5 + 50, 5 - 2 + 50, and 0 - 60 + 50, which is below 0.
    assert margin_loss(logits, labels).tolist() == [-47.0, -53.0, 0.0]
    assert margin_loss(logits, labels, confidence=0).tolist() == [0.0, -3.0, 0.0]


@given(
    st.lists(st.floats(min_value=-100, max_value=100), min_size=4, max_size=4),
    st.integers(0, 3),
    st.floats(min_value=0, max_value=100),
)
@settings(max_examples=100, deadline=None)
def test_the_margin_loss_equals_the_slow_formula(
    logits: list[float], label: int, confidence: float
) -> None:
    wrong = max(z for place, z in enumerate(logits) if place != label)
    expected = -max(logits[label] - wrong + confidence, 0.0)
    found = margin_loss(
        torch.tensor([logits], dtype=torch.float64), torch.tensor([label]), confidence
    ).item()
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_gradient_of_the_margin_loss_falls_on_the_label_and_the_best_wrong_class_alone() -> (
    None
):
    logits = torch.tensor([[2.0, 1.0, 5.0, 0.0]], requires_grad=True)
    margin_loss(logits, torch.tensor([0])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-1.0, 0.0, 1.0, 0.0]]


def test_with_its_confidence_cw_climbs_on_beyond_the_boundary_and_without_it_stops_there() -> None:
    beyond = torch.tensor([[0.0, 5.0]], requires_grad=True)
    for confidence, slope in ((50.0, 1.0), (0.0, 0.0)):
        (gradient,) = torch.autograd.grad(
            margin_loss(beyond, torch.tensor([0]), confidence).sum(), beyond
        )
        assert gradient[0, 1].item() == slope


def test_the_default_attacks_are_pgd_20_and_cw_30_with_confidence_50() -> None:
    assert (PgdAttack().steps, PgdAttack().restarts) == (20, 1)
    assert (CwAttack().steps, CwAttack().confidence) == (30, 50.0)
