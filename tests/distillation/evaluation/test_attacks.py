"""PGD and CW on networks of 1x1 images, whose worst points are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from core.distillation.evaluation.attacks import classify_under_attack, is_correct, margin_loss
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import CwAttack, PgdAttack
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack
from tests.distillation.evaluation.builders import PixelClassifier

Attack = ResolvedPgdAttack | ResolvedCwAttack


class Plane(PixelClassifier):
    """Two classes on either side of w . x + b = 0; images [B, D, 1, 1]."""

    def __init__(self, weight: list[float], bias: float) -> None:
        super().__init__(channels=len(weight))
        self.weight = nn.Parameter(torch.tensor(weight))
        self.bias = nn.Parameter(torch.tensor(bias))

    def classify(self, features_BD: Tensor) -> Tensor:
        score_B = features_BD @ self.weight + self.bias
        return torch.stack([-score_B, score_B], dim=1)


class Trap(PixelClassifier):
    """Class 1 above 0.55, else class 0, without a slope: only a random start can cross over."""

    def classify(self, features_BD: Tensor) -> Tensor:
        trapped_B = (features_BD[:, 0] > 0.55).float()
        return torch.stack([1 - trapped_B, trapped_B], dim=1) + 0 * features_BD


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


def robust(
    attack: Attack,
    network: Classifier,
    images_BCHW: Tensor,
    labels_B: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return which images the attack leaves correct, [B] bool."""
    generator = generator or seeded()
    return classify_under_attack(attack, network, images_BCHW, labels_B, generator).correct_B


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_on_a_linear_classifier_reaches_its_margin(attack: Attack) -> None:
    """An image stays correct where its margin exceeds the radius times the weights' 1-norm."""
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
    result_B = robust(attack, network, batch_of_pixels(pixels), torch.tensor(labels))
    assert result_B.tolist() == expected
    assert any(expected)
    assert not all(expected)


@pytest.mark.parametrize("attack", ATTACKS)
def test_ball_is_clipped_to_0_to_1(attack: Attack) -> None:
    # Class 1 above 0.04: from 0.06 the attack gets below it, from 0.2 it does not.
    labels_B = torch.tensor([1, 1])
    result_B = robust(
        attack, Plane([1.0], -0.04).eval(), batch_of_pixels([[0.06], [0.2]]), labels_B
    )
    assert result_B.tolist() == [False, True]
    # Class 1 above -0.01: within the ball of 0.1, but not within [0, 1].
    result_B = robust(attack, Plane([1.0], 0.01).eval(), batch_of_pixels([[0.0], [0.05]]), labels_B)
    assert result_B.tolist() == [True, True]


@pytest.mark.parametrize(
    "attack",
    [
        ResolvedPgdAttack(radius=0.0, step_size=0.0),
        ResolvedCwAttack(radius=0.0, step_size=0.0),
    ],
)
def test_correct_images_stay_correct_at_radius_zero(attack: Attack) -> None:
    network = Plane([1.0], -0.5).eval()
    labels_B = torch.tensor([1, 0, 1, 0])
    images_BCHW = batch_of_pixels([[0.6], [0.6], [0.4], [0.4]])
    expected_B = is_correct(network, images_BCHW, labels_B)
    assert torch.equal(robust(attack, network, images_BCHW, labels_B), expected_B)


def gray_images(count: int) -> tuple[Tensor, Tensor]:
    """Images of one pixel of 0.5, and labels 0."""
    return torch.full((count, 1, 1, 1), 0.5), torch.zeros(count, dtype=torch.long)


def test_image_is_robust_if_it_withstands_every_restart() -> None:
    network = Trap().eval()
    images_BCHW, labels_B = gray_images(64)
    restarts = ResolvedPgdAttack(radius=RADIUS, step_size=0.01, restarts=4)
    robust_B = robust(restarts, network, images_BCHW, labels_B, seeded(5))
    generator = seeded(5)
    single = ResolvedPgdAttack(radius=RADIUS, step_size=0.01)
    runs = torch.stack(
        [robust(single, network, images_BCHW, labels_B, generator) for _ in range(4)]
    )
    assert torch.equal(robust_B, runs.all(dim=0))
    # A quarter of all starts cross over: 0.75 of the images withstand one start, 0.32 four.
    assert 0.55 < runs.float().mean().item() < 0.95
    assert robust_B.float().mean().item() < runs.float().mean(dim=1).min().item()


@pytest.mark.parametrize(
    "attack",
    [
        ResolvedPgdAttack(radius=RADIUS, step_size=0.01),
        ResolvedCwAttack(radius=RADIUS, step_size=0.01),
    ],
)
def test_attacks_start_uniformly_by_their_generator(attack: Attack) -> None:
    network = Trap().eval()
    images_BCHW, labels_B = gray_images(400)
    first, again, other = (
        robust(attack, network, images_BCHW, labels_B, seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.float().mean().item() == pytest.approx(0.75, abs=0.08)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_leaves_no_gradient_on_parameters(attack: Attack) -> None:
    network = Plane([3.0, -1.0], -1.0).eval()
    robust(attack, network, batch_of_pixels([[0.5, 0.5]]), torch.tensor([1]))
    assert all(
        parameter.grad is None and parameter.requires_grad for parameter in network.parameters()
    )


class RecordingPlane(Plane):
    """A plane that remembers the last images it classified."""

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        self.last_images = normalized_BCHW.detach()
        return normalized_BCHW


def test_cw_ascends_to_its_own_confidence() -> None:
    # The boundary is at 0.5, and the label is class 1: without confidence the ascent ends with the
    # first step beyond it.
    network = RecordingPlane([5.0], -2.5).eval()
    images_BCHW = batch_of_pixels([[0.5]] * 20)
    labels_B = torch.ones(20, dtype=torch.long)
    highest = {}
    for confidence in (0.0, 50.0):
        attack = ResolvedCwAttack(radius=0.1, step_size=0.02, confidence=confidence)
        assert not robust(attack, network, images_BCHW, labels_B).any()
        highest[confidence] = network.last_images.max().item()
    assert 0.48 < highest[0.0] < 0.5
    assert highest[50.0] == pytest.approx(0.4)


@pytest.mark.parametrize("steps", [1, 3, 20])
@pytest.mark.parametrize("kind", [ResolvedPgdAttack, ResolvedCwAttack])
def test_attack_takes_its_steps_from_its_start(kind: type[Attack], steps: int) -> None:
    """Each as long as the attack says; the label is class 1, so the pixel falls."""
    network = RecordingPlane([1.0], 0.0).eval()
    images_BCHW = batch_of_pixels([[0.5]] * 8)
    attack = kind(radius=0.3, step_size=0.01, steps=steps)
    robust(attack, network, images_BCHW, torch.ones(8, dtype=torch.long), seeded(3))
    noise_BCHW = torch.empty_like(images_BCHW).uniform_(-0.3, 0.3, generator=seeded(3))
    expected_BCHW = (images_BCHW + noise_BCHW - steps * 0.01).clamp_min(0.2)
    torch.testing.assert_close(network.last_images, expected_BCHW)


def test_logits_that_were_not_finite_once_are_recorded() -> None:
    """After any of the restarts, for each image."""

    class NanAboveBoundary(Plane):
        def classify(self, features_BD: Tensor) -> Tensor:
            logits_BK = super().classify(features_BD)
            return torch.where(features_BD > 0.55, torch.nan, 0 * logits_BK + logits_BK.detach())

    network = NanAboveBoundary([5.0], -2.5).eval()
    images_BCHW, labels_B = gray_images(40)
    counts = []
    for restarts in (1, 5):
        attack = ResolvedPgdAttack(radius=0.1, step_size=0.0, restarts=restarts)
        result = classify_under_attack(attack, network, images_BCHW, labels_B, seeded(2))
        counts.append(int(result.non_finite_B.sum()))
        assert not (result.correct_B & result.non_finite_B).any()
    # A quarter of the starts are above 0.55; of five starts one is, for three quarters.
    assert 4 <= counts[0] <= 16 < 24 <= counts[1] < 40


# -- is_correct


class ConstantClassifier(PixelClassifier):
    """Gives every batch the same logits."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def classify(self, features_BD: Tensor) -> Tensor:
        return self.logits + 0 * features_BD


NOT_FINITE = [
    [1.0, 2.0, 0.0],
    [1.0, float("nan"), 0.0],
    [1.0, float("inf"), 0.0],
    [-float("inf"), 2.0, 0.0],
    [3.0, 2.0, 0.0],
]


def test_non_finite_logits_are_never_correct() -> None:
    network = ConstantClassifier(NOT_FINITE).eval()
    images_BCHW, _ = gray_images(5)
    labels_B = torch.ones(5, dtype=torch.long)
    assert is_correct(network, images_BCHW, labels_B).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    "attack",
    [
        ResolvedPgdAttack(radius=0.1, step_size=0.1),
        ResolvedCwAttack(radius=0.1, step_size=0.1),
    ],
)
def test_non_finite_logits_are_robust_under_no_attack(attack: Attack) -> None:
    network = ConstantClassifier(NOT_FINITE).eval()
    images_BCHW, _ = gray_images(5)
    labels_B = torch.ones(5, dtype=torch.long)
    result_B = robust(attack, network, images_BCHW, labels_B)
    assert result_B.tolist() == [True, False, False, False, False]


# -- the margin loss


def test_margin_loss_by_hand() -> None:
    logits_BK = torch.tensor([[2.0, 1.0, 5.0], [2.0, 1.0, 5.0], [0.0, 60.0, 3.0]])
    labels_B = torch.tensor([0, 2, 0])
    # 2 - 5 + 50, 5 - 2 + 50, and 0 - 60 + 50, which is below 0.
    assert margin_loss(logits_BK, labels_B).tolist() == [-47.0, -53.0, 0.0]
    assert margin_loss(logits_BK, labels_B, confidence=0).tolist() == [0.0, -3.0, 0.0]


@given(
    st.lists(st.floats(min_value=-100, max_value=100), min_size=4, max_size=4),
    st.integers(0, 3),
    st.floats(min_value=0, max_value=100),
)
@settings(max_examples=100, deadline=None)
def test_margin_loss_equals_the_slow_formula(
    logits: list[float], label: int, confidence: float
) -> None:
    best_other = max(logit for index, logit in enumerate(logits) if index != label)
    expected = -max(logits[label] - best_other + confidence, 0.0)
    logits_BK = torch.tensor([logits], dtype=torch.float64)
    result = margin_loss(logits_BK, torch.tensor([label]), confidence).item()
    assert result == pytest.approx(expected, abs=1e-9)


def test_margin_loss_has_gradient_at_label_and_best_other_class() -> None:
    """It has none at any other class."""
    logits_BK = torch.tensor([[2.0, 1.0, 5.0, 0.0]], requires_grad=True)
    margin_loss(logits_BK, torch.tensor([0])).sum().backward()  # type: ignore[no-untyped-call]
    assert logits_BK.grad is not None
    assert logits_BK.grad.tolist() == [[-1.0, 0.0, 1.0, 0.0]]


def test_margin_loss_has_a_slope_beyond_the_boundary() -> None:
    """But without confidence it has none, so the ascent stops at the boundary."""
    beyond_BK = torch.tensor([[0.0, 5.0]], requires_grad=True)
    for confidence, slope in ((50.0, 1.0), (0.0, 0.0)):
        loss = margin_loss(beyond_BK, torch.tensor([0]), confidence).sum()
        (gradient_BK,) = torch.autograd.grad(loss, beyond_BK)
        assert gradient_BK[0, 1].item() == slope


def test_default_attacks_are_pgd_20_and_cw_30() -> None:
    """PGD with one restart, CW with a confidence of 50."""
    assert (PgdAttack().steps, PgdAttack().restarts) == (20, 1)
    assert (CwAttack().steps, CwAttack().confidence) == (30, 50.0)
