"""Parts of the analyses, each by hand. B images, K classes."""

import base64
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.distillation import seeds
from core.distillation.adversaries import pgd
from core.distillation.data.images import Images
from core.distillation.evaluation import EvaluationTarget, last_finding
from core.distillation.evaluation.analyses import gradient_masking as masking
from core.distillation.evaluation.analyses import transfer as transfer_analysis
from core.distillation.evaluation.analyses.adversarial_batches import (
    batches,
    networks,
    pgd20_images,
)
from core.distillation.evaluation.analyses.calibration import calibration, calibration_error
from core.distillation.evaluation.analyses.grad_cam import (
    _first_of_each_class,
    grad_cam,
    grad_cam_maps,
    png_base64,
)
from core.distillation.evaluation.analyses.network_outputs import (
    features_and_probabilities,
    finite_in_all,
    omission_warnings,
)
from core.distillation.evaluation.analyses.radius_sweep import _attack, rise_warnings
from core.distillation.evaluation.analyses.spectra import spectra_of_outputs, spectrum
from core.distillation.evaluation.analyses.variance_gap import (
    Moments,
    gap_at,
    gaps,
    gram_variances,
    mean,
    summary,
)
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import Calibration, GradCam
from core.jobspec.resolved import ResolvedPgdAttack
from core.reportspec.threat_model import ThreatModel
from tests.distillation.evaluation.builders import PixelClassifier, target

Points = list[dict[str, float | None]]


class Brightness(PixelClassifier):
    """Class 1 where the pixel is above 0.5, by a slope of 4."""

    def classify(self, features_BD: Tensor) -> Tensor:
        score_B1 = 4 * (features_BD[:, :1] - 0.5)
        return torch.cat([-score_B1, score_B1], dim=1)


class Constant(PixelClassifier):
    """Probabilities 0.8 and 0.2, whatever the image."""

    def classify(self, features_BD: Tensor) -> Tensor:
        logits = torch.tensor([math.log(0.8), math.log(0.2)])
        return logits + 0 * features_BD[:, :1]


def pixels(values: list[int], labels: list[int]) -> Images:
    bytes_NCHW = torch.tensor(values, dtype=torch.uint8)[:, None, None, None]
    return Images(bytes_NCHW, torch.tensor(labels))


# -- batches and their adversarial images


def test_batches_begin_and_end_where_they_are_told() -> None:
    evaluated = target(Brightness(), pixels(list(range(10)), list(range(10))), batch_size=4)

    def shown(start: int = 0, limit: int | None = None) -> list[tuple[int, list[int]]]:
        return [(end, labels_B.tolist()) for end, _, labels_B in batches(evaluated, start, limit)]

    assert shown() == [(4, [0, 1, 2, 3]), (8, [4, 5, 6, 7]), (10, [8, 9])]
    assert shown(8) == [(10, [8, 9])]
    assert shown(10) == []
    assert shown(limit=6) == [(4, [0, 1, 2, 3]), (6, [4, 5])]
    assert shown(limit=60) == shown()


@pytest.mark.parametrize("radius", [None, 0.2])
def test_pgd20_is_twenty_steps_of_a_quarter_of_the_radius(radius: float | None) -> None:
    evaluated = target(Brightness(), pixels([0], [0]), seed=9, radius=0.12)
    images_BCHW = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    labels_B = torch.tensor([0, 1, 0, 1, 0])
    actual = pgd20_images(Brightness(), evaluated, images_BCHW, labels_B, 7, "purpose", radius)
    used = 0.12 if radius is None else radius
    network = Brightness()
    expected = pgd(
        lambda x: torch.nn.functional.cross_entropy(network(x), labels_B, reduction="none"),
        images_BCHW,
        radius=used,
        step_size=used / 4,
        steps=20,
        generator=seeds.generator("cpu", 9, "purpose", 7),
    )
    assert torch.equal(actual, expected)


def test_networks_are_the_network_and_its_reference() -> None:
    network = Brightness()
    reference = Constant()
    assert networks(target(network, pixels([0], [0]))) == {"network": network}
    both = networks(target(network, pixels([0], [0]), reference=reference))
    assert both == {"network": network, "reference": reference}


def test_outputs_and_which_are_finite() -> None:
    features_BD, probabilities_BK = features_and_probabilities(Constant(), torch.rand(2, 1, 1, 1))
    torch.testing.assert_close(probabilities_BK, torch.tensor([[0.8, 0.2]] * 2))
    assert features_BD.shape == (2, 1)
    outputs = (torch.tensor([[1.0, math.inf], [0.0, 0.0]]), torch.tensor([[1.0], [math.nan]]))
    assert finite_in_all(*outputs).tolist() == [False, False]
    assert finite_in_all(outputs[0]).tolist() == [False, True]
    assert omission_warnings(0) == []
    assert omission_warnings(3) == [
        "3 images were left out: their features or probabilities are not finite."
    ]


# -- calibration


def test_bins_of_confidence_by_hand() -> None:
    """A bin has its upper end: 0.2 is in the first of five, 0.2001 in the second."""
    confidences = [0.0, 0.2, 0.2001, 0.6, 1.0, 1.0]
    correct = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    error = calibration_error(torch.tensor([confidences, correct], dtype=torch.float64).T, 5)
    assert error["count"] == [2, 1, 1, 0, 2]
    assert error["confidence"] == pytest.approx([0.1, 0.2001, 0.6, 0.0, 1.0])
    assert error["accuracy"] == pytest.approx([0.5, 1.0, 0.0, 0.0, 0.5])
    expected = (2 * 0.4 + 0.7999 + 0.6 + 2 * 0.5) / 6
    assert error["ece"] == pytest.approx(expected)
    assert error["images"] == 6


def test_calibration_of_a_constant_network() -> None:
    """Confidence 0.8; three of four images are of its class, attacked or not."""
    evaluated = target(Constant(), pixels([10, 20, 30, 40], [0, 0, 1, 0]), batch_size=3)
    finding = last_finding(calibration(evaluated, Calibration(bins=7)))
    assert finding.values == pytest.approx({"ece": 0.05, "ece_adversarial": 0.05})
    assert finding.data["clean"]["count"] == [0] * 5 + [4] + [0]
    assert finding.data["warnings"] == []


def test_calibration_looks_at_attacked_images_too() -> None:
    """At radius 0.3 every image of Brightness crosses over, and none is correct."""
    evaluated = target(Brightness(), pixels([120, 140], [0, 1]), radius=0.3, batch_size=2)
    finding = last_finding(calibration(evaluated, Calibration(bins=10)))
    assert sum(finding.data["clean"]["accuracy"]) == 1.0
    assert sum(finding.data["adversarial"]["accuracy"]) == 0.0
    assert finding.values["ece_adversarial"] > 0.8 > finding.values["ece"]


# -- Grad-CAM


def test_first_images_are_one_of_each_class() -> None:
    labels_N = torch.tensor([2, 2, 0, 1, 0, 2])
    assert _first_of_each_class(labels_N, 2).tolist() == [2, 3]
    assert _first_of_each_class(labels_N, 5).tolist() == [2, 3, 0, 1, 4]
    assert _first_of_each_class(labels_N, 60).tolist() == [2, 3, 0, 1, 4, 5]


class TwoMaps(Classifier):
    """Two feature maps, the image and its complement; class 1 is 2 x the first - the second."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return torch.cat([normalized_BCHW, 1 - normalized_BCHW], dim=1)

    def classify(self, features_BD: Tensor) -> Tensor:
        first_B1, second_B1 = features_BD[:, :1], features_BD[:, 1:]
        return torch.cat([0 * first_B1, 2 * first_B1 - second_B1], dim=1)


def test_grad_cam_map_by_hand() -> None:
    """2 a - (1 - a) = 3 a - 1, cut off at 0, and divided by its largest value."""
    images_BCHW = torch.tensor([[[[0.0, 0.5], [0.6, 1.0]]], [[[0.1, 0.2], [0.3, 0.3]]]])
    maps, predictions = grad_cam_maps(TwoMaps().eval(), images_BCHW, torch.tensor([1, 1]))
    expected = torch.tensor([[[0.0, 0.25], [0.4, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(maps[:, 0], expected)
    assert predictions.tolist() == [1, 0]
    # Class 0 does not depend on the image.
    assert grad_cam_maps(TwoMaps().eval(), images_BCHW, torch.tensor([0, 0]))[0].sum() == 0


def pixels_of(png: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def test_pictures_have_the_pixels_of_their_images() -> None:
    gray = torch.tensor([[[0.0, 0.502, 1.0], [1.5, -1.0, 0.25]]])
    assert pixels_of(png_base64(gray)).tolist() == [[0, 128, 255], [255, 0, 64]]
    color = torch.zeros(3, 1, 2)
    color[0, 0, 1] = 1
    color[2, 0, 0] = 0.2
    assert pixels_of(png_base64(color)).tolist() == [[[0, 0, 51], [255, 0, 0]]]


def test_grad_cam_rows_have_both_predictions_and_the_shift() -> None:
    """At radius 0.3 each image of Brightness changes its class; its map is one pixel."""
    evaluated = target(
        Brightness(), pixels([120, 140, 90], [0, 1, 0]), radius=0.3, reference=Constant()
    )
    finding = last_finding(grad_cam(evaluated, GradCam(images=2)))
    rows = finding.data["rows"]
    assert [row["label"] for row in rows] == [0, 1]
    assert [row["network"]["predicted_clean"] for row in rows] == [0, 1]
    assert [row["network"]["predicted_adversarial"] for row in rows] == [1, 0]
    assert [row["reference"]["predicted_clean"] for row in rows] == [0, 0]
    assert [pixels_of(row["png_clean"]).tolist() for row in rows] == [[[120]], [[140]]]
    shifts = [row["network"]["shift"] for row in rows]
    assert finding.values["grad_cam_shift"] == pytest.approx(sum(shifts) / 2)


def test_shift_is_the_mean_change_of_a_map() -> None:
    """Over its pixels; of a network with more than one."""
    bytes_NCHW = torch.tensor([[[[30, 200], [90, 150]]]], dtype=torch.uint8)
    evaluated = target(
        TwoMaps(), Images(bytes_NCHW, torch.tensor([1])), radius=0.2, seed=4, classes=2
    )
    finding = last_finding(grad_cam(evaluated, GradCam(images=1)))
    images_BCHW, labels_B = evaluated.images.batch(torch.tensor([0]))
    attacked = pgd20_images(TwoMaps().eval(), evaluated, images_BCHW, labels_B, 0, "grad_cam")
    clean_map, _ = grad_cam_maps(TwoMaps().eval(), images_BCHW, labels_B)
    attacked_map, _ = grad_cam_maps(TwoMaps().eval(), attacked, labels_B)
    changes = (clean_map - attacked_map).abs().flatten().tolist()
    assert len(changes) == 4
    expected = sum(changes) / 4
    assert expected > 0.01
    assert finding.data["rows"][0]["network"]["shift"] == pytest.approx(expected)
    assert finding.values["grad_cam_shift"] == pytest.approx(expected)


# -- gradient masking


SHARES = {"clean": 1.0, "noise": 0.9, "pgd": 0.5, "large": 0.0, "gradients": 0.002, "square": 0.0}


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, []),
        ({"gradients": 0.0021}, ["square"]),
        ({"square": 0.6}, []),
        ({"large": 0.001}, ["large_radius"]),
        ({"noise": 0.5}, []),
        ({"noise": 0.499}, ["noise"]),
        ({"gradients": 0.1, "large": 1.0, "noise": 0.1}, ["square", "large_radius", "noise"]),
    ],
)
def test_signs_of_masked_gradients_by_hand(changes: dict[str, float], failed: list[str]) -> None:
    shares = {**SHARES, **changes}
    finding = masking.finding(shares, ThreatModel("linf", 0.1))
    checks = finding.data["checks"]
    assert [check["name"] for check in checks] == ["square", "large_radius", "noise"]
    assert [check["name"] for check in checks if not check["passed"]] == failed
    assert len(finding.data["warnings"]) == len(failed)
    drop = shares["gradients"] - shares["square"]
    assert finding.values["masking_square_drop"] == pytest.approx(drop)
    assert all("Under L∞, " in warning for warning in finding.data["warnings"])
    assert finding.data["share"] == shares


def test_images_correct_under_noise_and_attacks_are_counted() -> None:
    """Boundary at 127.5: pixels 120 and 135 are in reach of the radius, 60 and 200 are not."""
    values = [60, 120, 135, 200, 90]
    labels = [0, 0, 1, 1, 1]
    evaluated = target(Brightness(), pixels(values, labels), radius=0.1)
    images_BCHW, labels_B = evaluated.images.batch(torch.arange(5))
    counts = masking.correct_counts(evaluated, images_BCHW, labels_B, 5)
    assert counts == {"clean": 4, "noise": 2, "pgd": 2, "large": 0}


# -- radius sweep, spectra


def test_sweeps_attack_by_hand() -> None:
    assert _attack(0.0, 7) is None
    assert _attack(0.2, 7) == ResolvedPgdAttack(radius=0.2, step_size=0.05, steps=7)


@pytest.mark.parametrize(
    ("radii", "accuracies", "warnings"),
    [
        ([0.0, 0.1, 0.2], [0.9, 0.5, 0.25], 0),
        ([0.0, 0.1, 0.2], [0.0, 0.0, 0.01], 0),
        ([0.0, 0.1, 0.2], [0.0, 0.0, 0.0101], 1),
        ([0.2, 0.0, 0.1], [0.9, 0.5, 0.7], 2),
        ([0.2, 0.1, 0.0], [0.5, 0.7, 0.9], 0),
    ],
)
def test_accuracy_may_rise_by_one_point_with_the_radius(
    radii: list[float], accuracies: list[float], warnings: int
) -> None:
    assert len(rise_warnings(radii, accuracies)) == warnings


def test_spectrum_has_256_eigenvalues_at_most_and_none_below_0() -> None:
    values = torch.arange(300, dtype=torch.float64) - 1
    result = spectrum(torch.diag(values))
    assert result["eigenvalues"] == pytest.approx(list(range(298, 42, -1)))
    assert spectrum(torch.diag(torch.tensor([2.0, -1e-3])))["eigenvalues"] == [2.0, 0.0]
    nothing: dict[str, Any] = {"effective_rank": None, "eigenvalues": []}
    assert spectrum(torch.zeros(0, 0)) == nothing
    assert spectrum(torch.full((2, 2), math.nan)) == nothing


def test_spectra_leave_out_images_that_are_not_finite() -> None:
    features_ND = torch.tensor([[1.0], [3.0], [math.nan], [9.0]], dtype=torch.float64)
    adversarial_ND = torch.tensor([[1.0], [-1.0], [0.0], [math.inf]], dtype=torch.float64)
    certain_NK = torch.tensor([[1.0, 0.0]] * 4, dtype=torch.float64)
    result = spectra_of_outputs(features_ND, certain_NK, adversarial_ND, certain_NK)
    assert result["images_left_out"] == 2
    # Features 1, 3 and 1, -1: both vary by 1, in opposite directions.
    assert result["features"]["eigenvalues"] == pytest.approx([2.0, 0.0], abs=1e-9)
    assert result["features"]["effective_rank"] == pytest.approx(1.0)
    # Four equal predictions, whose products are 1, divided by the two classes.
    assert result["gram"]["eigenvalues"] == pytest.approx([2.0, 0.0, 0.0, 0.0], abs=1e-9)


# -- transfer


def test_transfer_is_the_accuracy_under_the_references_images() -> None:
    evaluated = target(Brightness(), pixels([0, 1, 2, 3], [0, 0, 1, 1]), classes=2)
    masks = {"transferred": "1101", "own": "1000", "reference": "0110"}
    finding = transfer_analysis.finding(masks, evaluated)
    assert finding.value == 0.75
    assert finding.data["per_class"] == [1.0, 0.5]
    assert (finding.data["own_accuracy"], finding.data["reference_accuracy"]) == (0.25, 0.5)
    assert finding.data["warnings"] == []
    equal = transfer_analysis.finding({**masks, "own": "0111"}, evaluated)
    assert equal.data["warnings"] == []
    (warning,) = transfer_analysis.finding({**masks, "own": "1111"}, evaluated).data["warnings"]
    assert warning.startswith("Accuracy is 75.00 % under adversarial images (PGD-20, L∞, ")
    assert "100.00 % under those made for the network itself" in warning


# -- variance gap


def test_variances_by_hand() -> None:
    moments = Moments()
    assert moments.variance().item() == 0
    moments.add(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    moments.add(torch.tensor([[5.0, 5.0]]))
    assert moments.count == 3
    assert moments.variance().tolist() == pytest.approx([8 / 3, 0.0])
    one_image = Moments()
    one_image.add(torch.tensor([[3.0]]))
    assert one_image.variance().item() == 0
    # P P' / 2 of two opposite predictions and one in the middle: columns (1, 0, .5) / 2, ...
    probabilities_BK = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert gram_variances(probabilities_BK).tolist() == pytest.approx([1 / 24, 1 / 24, 0.0])
    assert gram_variances(torch.zeros(0, 2)).tolist() == []


def test_gaps_are_relative_changes_of_channels_that_vary() -> None:
    clean_D = torch.tensor([2.0, 1.0, 1e-12, 2e-12])
    adversarial_D = torch.tensor([1.0, 1.5, 5.0, 2e-12])
    assert gaps(clean_D, adversarial_D).tolist() == pytest.approx([50.0, 50.0, 0.0])
    assert mean(torch.tensor([1.0, 2.0])) == 1.5
    assert mean(torch.zeros(0)) is None


def test_lines_relate_accuracies_in_percent_to_gaps() -> None:
    """Accuracy falls by 2 points for a point of the feature gap; the Gram gaps are too few."""
    points: Points = [
        {"radius": 0.1, "accuracy": 0.8, "features": 10.0, "gram": 1.0},
        {"radius": 0.2, "accuracy": 0.6, "features": 20.0, "gram": None},
        {"radius": 0.3, "accuracy": 0.4, "features": 30.0, "gram": 3.0},
    ]
    result = summary(points, 0.2)
    assert (result["features"], result["gram"]) == (20.0, None)
    assert result["points"] == points
    assert result["lines"]["features"] == pytest.approx({"slope": -2, "intercept": 100, "r": -1})
    assert result["lines"]["gram"] is None


def point_at(evaluated: EvaluationTarget, radius: float) -> Any:
    *counts, point = gap_at(Brightness(), evaluated, radius)
    assert counts == [2]
    return point


def test_gap_at_a_radius_by_hand() -> None:
    """Pixels 0.4 and 0.6 move by 0.2 across the boundary: the variance stays, all are wrong."""
    evaluated = target(Brightness(), pixels([102, 153], [0, 1]), batch_size=2)
    point = point_at(evaluated, 0.2)
    assert (point["radius"], point["accuracy"]) == (0.2, 0.0)
    assert point["features"] == pytest.approx(0.0, abs=1e-3)
    assert (point["channels_left_out"], point["images_left_out"]) == (0, 0)
    # At half of that they meet at the boundary: nothing is left of the variance.
    assert point_at(evaluated, 0.1)["features"] == pytest.approx(100.0, abs=1e-3)
    half_way = point_at(evaluated, 0.05)
    assert half_way["features"] == pytest.approx(75.0, abs=1e-3)
    assert half_way["accuracy"] == 1.0
