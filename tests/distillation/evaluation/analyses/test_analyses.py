"""The analyses on networks whose answers are worked out by hand, and on from every step."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.evaluation import EvaluationTarget, Finding, Step
from core.distillation.evaluation.analyses import ANALYSES
from core.distillation.evaluation.analyses.calibration import binned
from core.distillation.evaluation.analyses.grad_cam import look
from core.distillation.evaluation.analyses.radius_sweep import rises
from core.distillation.evaluation.analyses.spectra import spectrum
from core.distillation.evaluation.analyses.variance_gap import Moments, gaps
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec import evaluation as spec
from core.jobspec.resolved import ResolvedRadiusSweep, ResolvedVarianceGap
from tests.distillation.evaluation.robust import robust_network, some_images

SETTINGS: dict[str, Any] = {
    "radius_sweep": ResolvedRadiusSweep(radii=(0.0, 0.1, 0.3, 1.0), steps=5),
    "variance_gap": ResolvedVarianceGap(radii=(0.06, 0.24)),
    "spectra": spec.Spectra(),
    "grad_cam": spec.GradCam(images=3),
    "calibration": spec.Calibration(),
    "transfer": spec.Transfer(),
    "gradient_masking": spec.GradientMasking(queries=20),
}


def subject(
    network: Classifier | None = None,
    images: int = 60,
    reference: bool = True,
    radius: float = 0.12,
) -> EvaluationTarget:
    torch.manual_seed(3)
    other = SmallCnn(10, width=2, channels=1).eval() if reference else None
    return EvaluationTarget(
        network or robust_network(), other, some_images(images), 10, 25, 0, radius
    )


def found(name: str, it: EvaluationTarget, state: Any = None) -> Finding:
    *_, last = ANALYSES[name](SETTINGS[name], it, state)
    assert isinstance(last, Finding)
    return last


@pytest.mark.parametrize("name", SETTINGS)
def test_from_every_step_an_analysis_goes_on_to_the_same_finding(name: str) -> None:
    it = subject()
    *steps, whole = ANALYSES[name](SETTINGS[name], it, None)
    assert isinstance(whole, Finding)
    assert steps
    assert all(isinstance(step, Step) and 0 < step.completed <= step.total for step in steps)
    for state in {json.dumps(step.state) for step in steps}:
        assert found(name, it, json.loads(state) or None) == whole
    json.dumps(whole.data, allow_nan=False)


@pytest.mark.parametrize("name", SETTINGS)
def test_an_analysis_leaves_the_networks_in_their_mode(name: str) -> None:
    it = subject(robust_network().train())
    found(name, it)
    assert it.network.training
    robust_network().eval()


def test_the_radius_sweep_begins_with_the_clean_accuracy_and_falls_to_nothing() -> None:
    network, images = robust_network(), some_images(60)
    x, y = images.batch(torch.arange(60))
    data = found("radius_sweep", subject()).data
    assert data["accuracy"][0] == pytest.approx(float((network(x).argmax(1) == y).float().mean()))
    assert data["accuracy"][-1] == 0
    assert data["warnings"] == []
    assert all(
        low <= share <= high
        for share, (low, high) in zip(data["accuracy"], data["intervals"], strict=True)
    )


def test_an_accuracy_that_rises_with_the_radius_is_said() -> None:
    (sentence,) = rises([0.0, 0.2, 0.1], [0.9, 0.55, 0.5])
    assert "from 50.00 % at radius 0.1 to 55.00 % at 0.2" in sentence
    assert rises([0.0, 0.1], [0.5, 0.505]) == []


def test_without_a_reference_a_transfer_attack_is_impossible() -> None:
    with pytest.raises(ValueError, match="reference"):
        found("transfer", subject(reference=False))


def test_images_made_for_another_network_do_less_than_those_made_for_this_one() -> None:
    it = subject()
    sweep = found("radius_sweep", it).data
    one = found("transfer", it)
    assert (one.value or 0) > sweep["accuracy"][1]
    assert (one.value or 0) > one.data["own_accuracy"]
    assert one.data["warnings"] == []


def test_images_made_for_another_network_that_do_more_than_its_own_are_said() -> None:
    one = found(
        "transfer",
        EvaluationTarget(Saturated().eval(), robust_network(), some_images(60), 10, 25, 0, 0.2),
    )
    assert one.value is not None
    assert one.value < one.data["own_accuracy"]
    assert "its own gradients mislead" in one.data["warnings"][0]


def test_gaps_by_hand() -> None:
    clean, attacked = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([1.5, 1.0, 9.0])
    assert gaps(clean, attacked).tolist() == [50.0, 50.0]
    moments = Moments()
    for batch in (torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]])):
        moments.add(batch)
    assert moments.variance().item() == pytest.approx(8 / 3)


def test_a_network_that_nothing_moves_has_no_gap() -> None:
    values = found("variance_gap", subject(radius=0.0)).values
    assert values["variance_gap_features"] == pytest.approx(0, abs=1e-3)
    assert values["variance_gap_gram"] == pytest.approx(0, abs=1e-3)


def test_a_gap_is_found_at_every_radius_with_the_line_that_accuracy_follows() -> None:
    data = found("variance_gap", subject()).data["network"]
    assert [point["radius"] for point in data["points"]] == [0.06, 0.12, 0.24]
    assert data["features"] == data["points"][1]["features"]
    gaps_found, accuracies = (
        [point[key] for point in data["points"]] for key in ("features", "accuracy")
    )
    assert sorted(gaps_found) == gaps_found
    assert sorted(accuracies, reverse=True) == accuracies
    assert data["lines"]["features"]["slope"] < 0
    assert -1 <= data["lines"]["features"]["r"] < -0.8
    assert data["lines"]["gram"] is not None


def test_two_radii_make_no_line() -> None:
    settings = ResolvedVarianceGap(radii=(0.06, 0.12))
    *_, last = ANALYSES["variance_gap"](settings, subject(), None)
    assert isinstance(last, Finding)
    assert last.data["network"]["lines"] == {"features": None, "gram": None}


def test_the_spectrum_of_a_known_matrix() -> None:
    it = spectrum(torch.diag(torch.tensor([1.0, 3.0, 0.0, 2.0], dtype=torch.float64)))
    assert it["eigenvalues"] == pytest.approx([3, 2, 1, 0])
    assert it["effective_rank"] == pytest.approx(36 / 14)


def test_ece_by_hand() -> None:
    # Three images 0.87 sure, of which two are right; one 0.55 sure and wrong. One without a number is left out.
    pairs = torch.tensor(
        [[0.87, 1.0], [0.87, 1.0], [0.87, 0.0], [0.55, 0.0], [float("nan"), 1.0]],
        dtype=torch.float64,
    )
    it = binned(pairs, 10)
    assert it["ece"] == pytest.approx(3 / 4 * (0.87 - 2 / 3) + 1 / 4 * 0.55)
    assert (it["count"][8], it["count"][5], it["images"]) == (3, 1, 4)


def test_images_without_finite_probabilities_are_left_out_of_the_calibration_and_said() -> None:
    class Sometimes(SmallCnn):
        def classify(self, features_BD: Tensor) -> Tensor:
            return super().classify(features_BD).index_fill(0, torch.tensor([0]), float("nan"))

    torch.manual_seed(0)
    (clean, attacked) = found(
        "calibration", subject(Sometimes(10, width=2, channels=1).eval())
    ).data["warnings"]
    assert "3 images had no finite clean probabilities" in clean
    assert "adversarial" in attacked


class OneCorner(Classifier):
    """Only the upper left quarter of the image counts, for class 1."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        corner = torch.zeros(8, 8)
        corner[:4, :4] = 1
        return normalized_BCHW * corner

    def classify(self, features_BD: Tensor) -> Tensor:
        return torch.cat([0 * features_BD, features_BD], dim=1)


def test_grad_cam_lights_up_where_the_network_looks() -> None:
    images = torch.rand(3, 1, 8, 8) + 0.1
    maps, guesses = look(OneCorner().eval(), images.clamp(0, 1), torch.ones(3, dtype=torch.long))
    assert guesses.tolist() == [1, 1, 1]
    assert maps[:, :, :4, :4].sum() > 0
    assert maps[:, :, 4:, :].sum() == maps[:, :, :, 4:].sum() == 0
    assert maps.amax(dim=(1, 2, 3)).tolist() == [1.0, 1.0, 1.0]


class Saturated(Classifier):
    """The robust network's own decisions, but as logits without a slope: gradients say nothing."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW.flatten(1)[:, :, None, None]

    def classify(self, features_BD: Tensor) -> Tensor:
        logits = robust_network()(features_BD.view(-1, 1, 8, 8))
        return logits.round(decimals=1) + 0 * features_BD[:, :1]


def test_a_network_that_masks_its_gradients_is_found_out_and_an_honest_one_is_not() -> None:
    honest = found("gradient_masking", subject())
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
    masked = found("gradient_masking", subject(Saturated().eval(), radius=0.2))
    assert len(masked.data["warnings"]) >= 2
    assert masked.values["masking_square_drop"] > 0.002
    assert masked.values["masking_large_radius"] > 0
