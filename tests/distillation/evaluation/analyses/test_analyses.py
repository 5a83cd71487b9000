"""The analyses on networks with answers worked out by hand; and resumed from every step."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.evaluation import EvaluationTarget, Finding, Step, last_finding, measure
from core.distillation.evaluation.analyses.calibration import calibration_error
from core.distillation.evaluation.analyses.grad_cam import grad_cam_maps
from core.distillation.evaluation.analyses.radius_sweep import rise_warnings
from core.distillation.evaluation.analyses.spectra import spectrum
from core.distillation.evaluation.analyses.variance_gap import Moments, gaps
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec import evaluation as spec
from core.jobspec.resolved import ResolvedRadiusSweep, ResolvedVarianceGap
from tests.distillation.evaluation.builders import (
    FlatClassifier,
    PixelClassifier,
    digit_images,
    robust_network,
    target,
)

SETTINGS: dict[str, Any] = {
    "radius_sweep": ResolvedRadiusSweep(radii=(0.0, 0.1, 0.3, 1.0), steps=5),
    "variance_gap": ResolvedVarianceGap(radii=(0.06, 0.24)),
    "spectra": spec.Spectra(),
    "grad_cam": spec.GradCam(images=3),
    "calibration": spec.Calibration(),
    "transfer": spec.Transfer(),
    "gradient_masking": spec.GradientMasking(queries=20),
    "examples": spec.Examples(count=5),
    "gradient_checks": spec.GradientChecks(),
}


def digit_target(network: Classifier | None = None, **changes: Any) -> EvaluationTarget:
    """The robust network and 60 digits, beside a reference that was never trained."""
    torch.manual_seed(3)
    reference = SmallCnn(10, width=2, channels=1).eval()
    settings = {"reference": reference, "batch_size": 25, "radius": 0.12} | changes
    return target(network or robust_network(), digit_images(60), **settings)


def finding_of(name: str, evaluated: EvaluationTarget, state: Any = None) -> Finding:
    return last_finding(measure(evaluated, SETTINGS[name], state))


@pytest.mark.parametrize("name", SETTINGS)
def test_analysis_resumes_from_every_step_to_the_same_finding(name: str) -> None:
    evaluated = digit_target()
    *steps, finding = measure(evaluated, SETTINGS[name])
    assert isinstance(finding, Finding)
    assert steps
    assert all(isinstance(step, Step) and 0 < step.completed <= step.total for step in steps)
    for state in {json.dumps(step.state) for step in steps if isinstance(step, Step)}:
        assert finding_of(name, evaluated, json.loads(state) or None) == finding
    json.dumps(finding.data, allow_nan=False)


@pytest.mark.parametrize("name", SETTINGS)
def test_analysis_leaves_the_networks_in_their_mode(name: str) -> None:
    evaluated = digit_target(robust_network().train())
    finding_of(name, evaluated)
    assert evaluated.network.training
    robust_network().eval()


def test_radius_sweep_falls_from_the_clean_accuracy_to_zero() -> None:
    images_BCHW, labels_B = digit_images(60).batch(torch.arange(60))
    clean_accuracy = float((robust_network()(images_BCHW).argmax(1) == labels_B).float().mean())
    data = finding_of("radius_sweep", digit_target()).data
    assert data["accuracy"][0] == pytest.approx(clean_accuracy)
    assert data["accuracy"][-1] == 0
    assert data["warnings"] == []
    assert all(
        low <= share <= high
        for share, (low, high) in zip(data["accuracy"], data["intervals"], strict=True)
    )


def test_accuracy_that_rises_with_the_radius_is_a_warning() -> None:
    (sentence,) = rise_warnings([0.0, 0.2, 0.1], [0.9, 0.55, 0.5])
    assert "from 50.00 % under L∞, 0.1, to 55.00 % under L∞, 0.2" in sentence
    assert rise_warnings([0.0, 0.1], [0.5, 0.505]) == []


def test_transfer_without_a_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="reference"):
        finding_of("transfer", digit_target(reference=None))


def test_transferred_images_do_less_than_the_networks_own() -> None:
    evaluated = digit_target()
    sweep = finding_of("radius_sweep", evaluated).data
    transfer = finding_of("transfer", evaluated)
    assert transfer.require_value() > sweep["accuracy"][1]
    assert transfer.require_value() > transfer.data["own_accuracy"]
    assert transfer.data["warnings"] == []


def test_transferred_images_that_do_more_are_a_warning() -> None:
    evaluated = digit_target(QuantizedLogits().eval(), reference=robust_network(), radius=0.2)
    transfer = finding_of("transfer", evaluated)
    assert transfer.require_value() < transfer.data["own_accuracy"]
    assert "its own gradients mislead" in transfer.data["warnings"][0]


def test_gaps_by_hand() -> None:
    clean_D = torch.tensor([1.0, 2.0, 0.0])
    adversarial_D = torch.tensor([1.5, 1.0, 9.0])
    assert gaps(clean_D, adversarial_D).tolist() == [50.0, 50.0]
    moments = Moments()
    for features_BD in (torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]])):
        moments.add(features_BD)
    assert moments.variance().item() == pytest.approx(8 / 3)


def test_network_that_is_not_attacked_has_no_gap() -> None:
    values = finding_of("variance_gap", digit_target(radius=0.0)).values
    assert values["variance_gap_features"] == pytest.approx(0, abs=1e-3)
    assert values["variance_gap_gram"] == pytest.approx(0, abs=1e-3)


def test_variance_gap_has_a_point_a_radius_and_a_fitted_line() -> None:
    """The line relates gaps to accuracies."""
    data = finding_of("variance_gap", digit_target()).data["network"]
    assert [point["radius"] for point in data["points"]] == [0.06, 0.12, 0.24]
    assert data["features"] == data["points"][1]["features"]
    gaps_of_points, accuracies = (
        [point[key] for point in data["points"]] for key in ("features", "accuracy")
    )
    assert sorted(gaps_of_points) == gaps_of_points
    assert sorted(accuracies, reverse=True) == accuracies
    assert data["lines"]["features"]["slope"] < 0
    assert -1 <= data["lines"]["features"]["r"] < -0.8
    assert data["lines"]["gram"] is not None


def test_two_radii_make_no_line() -> None:
    settings = ResolvedVarianceGap(radii=(0.06, 0.12))
    finding = last_finding(measure(digit_target(), settings))
    assert finding.data["network"]["lines"] == {"features": None, "gram": None}


def test_spectrum_of_a_known_matrix() -> None:
    result = spectrum(torch.diag(torch.tensor([1.0, 3.0, 0.0, 2.0], dtype=torch.float64)))
    assert result["eigenvalues"] == pytest.approx([3, 2, 1, 0])
    assert result["effective_rank"] == pytest.approx(36 / 14)


def test_calibration_error_by_hand() -> None:
    # Three images of confidence 0.87, two of them correct; one of 0.55, misclassified. One without
    # a finite confidence is left out.
    predictions_N2 = torch.tensor(
        [[0.87, 1.0], [0.87, 1.0], [0.87, 0.0], [0.55, 0.0], [float("nan"), 1.0]],
        dtype=torch.float64,
    )
    error = calibration_error(predictions_N2, 10)
    assert error["ece"] == pytest.approx(3 / 4 * (0.87 - 2 / 3) + 1 / 4 * 0.55)
    assert (error["count"][8], error["count"][5], error["images"]) == (3, 1, 4)


def test_calibration_warns_of_non_finite_probabilities() -> None:
    """Their images are left out, and counted in the warning."""

    class NanInEveryBatch(SmallCnn):
        def classify(self, features_BD: Tensor) -> Tensor:
            return super().classify(features_BD).index_fill(0, torch.tensor([0]), float("nan"))

    torch.manual_seed(0)
    evaluated = digit_target(NanInEveryBatch(10, width=2, channels=1).eval())
    clean, adversarial = finding_of("calibration", evaluated).data["warnings"]
    assert "3 images had no finite clean probabilities" in clean
    assert "adversarial" in adversarial


class CornerClassifier(PixelClassifier):
    """Only the upper left quarter of the image counts, for class 1."""

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        corner_HW = torch.zeros(8, 8)
        corner_HW[:4, :4] = 1
        return normalized_BCHW * corner_HW

    def classify(self, features_BD: Tensor) -> Tensor:
        return torch.cat([0 * features_BD, features_BD], dim=1)


def test_grad_cam_highlights_what_counts() -> None:
    images_BCHW = (torch.rand(3, 1, 8, 8) + 0.1).clamp(0, 1)
    labels_B = torch.ones(3, dtype=torch.long)
    maps, predictions = grad_cam_maps(CornerClassifier().eval(), images_BCHW, labels_B)
    assert predictions.tolist() == [1, 1, 1]
    assert maps[:, :, :4, :4].sum() > 0
    assert maps[:, :, 4:, :].sum() == maps[:, :, :, 4:].sum() == 0
    assert maps.amax(dim=(1, 2, 3)).tolist() == [1.0, 1.0, 1.0]


class QuantizedLogits(FlatClassifier):
    """The robust network's decisions, but as logits without a slope: its gradients are masked."""

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = robust_network()(features_BD.view(-1, 1, 8, 8))
        return logits_BK.round(decimals=1) + 0 * features_BD[:, :1]


def test_gradient_masking_is_detected_and_honest_gradients_pass() -> None:
    honest = finding_of("gradient_masking", digit_target())
    assert [check["name"] for check in honest.data["checks"] if not check["passed"]] == []
    assert honest.data["warnings"] == []
    share = honest.data["share"]
    assert (
        share["clean"]
        >= share["noise"]
        >= share["pgd"]
        >= share["gradients"]
        >= share["square"]
        > share["large"]
        == 0
    )
    masked = finding_of("gradient_masking", digit_target(QuantizedLogits().eval(), radius=0.2))
    assert len(masked.data["warnings"]) >= 2
    assert masked.values["masking_square_drop"] > 0.002
    assert masked.values["masking_large_radius@linf:0.5"] > 0
