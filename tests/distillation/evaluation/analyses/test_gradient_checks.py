"""The cheap checks of every evaluation, on networks that fail exactly one of them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.evaluation import Finding, last_finding, measure
from core.distillation.evaluation.analyses.gradient_checks import (
    checks,
    has_zero_gradient,
    is_checked,
    relative_output_change,
)
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import GradientChecks
from tests.distillation.evaluation.builders import (
    FlatClassifier,
    digit_images,
    robust_network,
    target,
)


class ForwardOnly(FlatClassifier):
    """A network of which only the logits are of interest."""

    def classify(self, features_BD: Tensor) -> Tensor:
        raise NotImplementedError


class Wrapped(ForwardOnly):
    """Logits of another network, changed."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.change(self.network(images_BCHW))

    def change(self, logits_BK: Tensor) -> Tensor:
        raise NotImplementedError


class Saturated(Wrapped):
    """Softmax of such logits is exactly 0 or 1, so that the cross entropy has no gradient."""

    def change(self, logits_BK: Tensor) -> Tensor:
        return 1e6 * logits_BK


class Random(Wrapped):
    """Other logits with every pass."""

    def change(self, logits_BK: Tensor) -> Tensor:
        return logits_BK + 0.1 * torch.randn_like(logits_BK)


class Rounded(Wrapped):
    """A staircase: its gradient is zero everywhere."""

    def change(self, logits_BK: Tensor) -> Tensor:
        return (2 * logits_BK).round() / 2 + 0 * logits_BK


def finding_for(network: Classifier, images: int = 60, **changes: Any) -> Finding:
    evaluated = target(network, digit_images(images), batch_size=25, **changes)
    return last_finding(measure(evaluated, GradientChecks()))


def failed(finding: Finding) -> list[str]:
    return [check["name"] for check in finding.data["checks"] if not check["passed"]]


def test_honest_network_passes_every_check() -> None:
    finding = finding_for(robust_network())
    assert (failed(finding), finding.data["warnings"]) == ([], [])
    assert (finding.value, finding.data["images"], finding.data["zero_gradients"]) == (None, 60, 0)


def test_saturated_softmax_has_zero_gradients() -> None:
    finding = finding_for(Saturated(robust_network()))
    assert "zero_gradients" in failed(finding)
    assert 0 < finding.data["zero_gradients"] <= 60
    assert f"For {finding.data['zero_gradients']} of 60 images" in finding.data["warnings"][0]


def test_staircase_has_zero_gradients_at_every_image() -> None:
    finding = finding_for(Rounded(robust_network()))
    assert finding.data["zero_gradients"] == 60
    assert failed(finding) == ["zero_gradients", "large_radius"]


def test_random_outputs_are_a_finding() -> None:
    finding = finding_for(Random(robust_network()))
    assert "random_outputs" in failed(finding)


def test_zero_gradient_is_zero_at_every_pixel() -> None:
    """The logits of the first image depend on one pixel, those of the second on none."""

    class OnePixel(ForwardOnly):
        def forward(self, images_BCHW: Tensor) -> Tensor:
            flat_BD = images_BCHW.flatten(1)
            pixel_B = flat_BD[:, 3] * torch.tensor([1.0, 0.0])
            return torch.stack([pixel_B, torch.zeros_like(pixel_B)], dim=1)

    zero_B = has_zero_gradient(OnePixel(), torch.rand(2, 1, 2, 2), torch.tensor([0, 0]))
    assert zero_B.tolist() == [False, True]


def test_output_change_is_relative_to_the_largest_logit() -> None:
    class Alternating(ForwardOnly):
        calls = 0

        def forward(self, images_BCHW: Tensor) -> Tensor:
            self.calls += 1
            return torch.tensor([[0.0, -8.0 if self.calls == 1 else -6.0]])

    assert relative_output_change(Alternating(), torch.rand(1, 1, 2, 2)) == 0.25
    assert relative_output_change(robust_network(), torch.rand(3, 1, 8, 8)) == 0


@pytest.mark.parametrize(
    ("state", "failures"),
    [
        ({}, []),
        ({"zero_gradients": 1}, ["zero_gradients"]),
        ({"output_change": 0.001}, []),
        ({"output_change": 0.0011}, ["random_outputs"]),
        ({"large": 12}, []),
        ({"large": 13}, ["large_radius"]),
    ],
)
def test_check_fails_just_beyond_its_bound(state: dict[str, Any], failures: list[str]) -> None:
    """A network that always gives the most frequent answer has 12 of 60 images correct."""
    counts = {"zero_gradients": 0, "output_change": 0.0, "large": 0, **state}
    results = checks(counts, 60, 60, 12)
    assert [check["name"] for check in results if not check["passed"]] == failures


def test_large_radius_is_tried_on_images_spread_over_all() -> None:
    """Every second of 150, so that no class of a sorted data set is all of them."""

    class Constant(ForwardOnly):
        def forward(self, images_BCHW: Tensor) -> Tensor:
            logits_BK = torch.zeros(len(images_BCHW), 10)
            logits_BK[:, 7] = 1
            return logits_BK + 0 * images_BCHW.sum()

    images = digit_images(150)
    *steps, finding = measure(target(Constant(), images, batch_size=25), GradientChecks())
    assert isinstance(finding, Finding)
    last = steps[-1]
    assert not isinstance(last, Finding)
    assert last.state["large"] == int((images.labels_N[::2] == 7).sum())
    assert failed(finding) == ["zero_gradients"]


@pytest.mark.parametrize(
    ("images", "chosen"), [(1, 1), (128, 128), (129, 65), (360, 120), (10_000, 127)]
)
def test_at_most_128_images_are_tried_at_the_large_radius(images: int, chosen: int) -> None:
    is_chosen_N = is_checked(torch.arange(images), images)
    assert int(is_chosen_N.sum()) == chosen
    assert bool(is_chosen_N[0])
