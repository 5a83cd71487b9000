"""The analyses on networks whose answers are worked out by hand, and on from every step."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.evaluation import Finding, Step, Subject
from core.distillation.evaluation.analyses import ANALYSES
from core.distillation.evaluation.analyses.calibration import binned
from core.distillation.evaluation.analyses.grad_cam import look
from core.distillation.evaluation.analyses.spectra import spectrum
from core.distillation.evaluation.analyses.variance_gap import Moments, gaps
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.spec import evaluation as spec
from tests.distillation.evaluation.robust import robust_network, some_images

SETTINGS: dict[str, Any] = {
    "radius_sweep": spec.RadiusSweep(radii=(0.0, 0.1, 0.3, 1.0), steps=5),
    "variance_gap": spec.VarianceGap(),
    "spectra": spec.Spectra(),
    "grad_cam": spec.GradCam(images=3),
    "calibration": spec.Calibration(),
    "transfer": spec.Transfer(),
    "gradient_masking": spec.GradientMasking(queries=20),
}


def subject(network: Classifier | None = None, images: int = 60, reference: bool = True, radius: float = 0.12) -> Subject:
    torch.manual_seed(3)
    other = SmallCnn(10, width=2, channels=1).eval() if reference else None
    return Subject(network or robust_network(), other, some_images(images), 10, 25, 0, radius)


def found(name: str, it: Subject, state: Any = None) -> Finding:
    *_, last = ANALYSES[name](SETTINGS[name], it, state)
    assert isinstance(last, Finding)
    return last


@pytest.mark.parametrize("name", SETTINGS)
def test_from_every_step_an_analysis_goes_on_to_the_same_finding(name: str) -> None:
    it = subject()
    *steps, whole = ANALYSES[name](SETTINGS[name], it, None)
    assert isinstance(whole, Finding)
    assert steps
    for step in steps:
        assert isinstance(step, Step)
        assert 0 < step.done <= step.of
        assert found(name, it, json.loads(json.dumps(step.state)) or None) == whole
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
    assert data["falls_throughout"]


def test_without_a_reference_a_transfer_attack_is_impossible() -> None:
    with pytest.raises(ValueError, match="reference"):
        found("transfer", subject(reference=False))


def test_images_made_for_another_network_do_less_than_those_made_for_this_one() -> None:
    it = subject()
    sweep = found("radius_sweep", it).data
    assert (found("transfer", it).value or 0) > sweep["accuracy"][1]


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


def test_the_spectrum_of_a_known_matrix() -> None:
    it = spectrum(torch.diag(torch.tensor([1.0, 3.0, 0.0, 2.0], dtype=torch.float64)))
    assert it["eigenvalues"] == pytest.approx([3, 2, 1, 0])
    assert it["effective_rank"] == pytest.approx(36 / 14)


def test_ece_by_hand() -> None:
    # Three images 0.87 sure, of which two are right; one 0.55 sure and wrong. One without a number is left out.
    pairs = torch.tensor([[0.87, 1.0], [0.87, 1.0], [0.87, 0.0], [0.55, 0.0], [float("nan"), 1.0]], dtype=torch.float64)
    it = binned(pairs, 10)
    assert it["ece"] == pytest.approx(3 / 4 * (0.87 - 2 / 3) + 1 / 4 * 0.55)
    assert (it["count"][8], it["count"][5], it["images"]) == (3, 1, 4)


class OneCorner(Classifier):
    """Only the upper left quarter of the image counts, for class 1."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalisation="none")

    def maps_of(self, normalised_BCHW: Tensor) -> Tensor:
        corner = torch.zeros(8, 8)
        corner[:4, :4] = 1
        return normalised_BCHW * corner

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
        super().__init__(channels=1, normalisation="none")

    def maps_of(self, normalised_BCHW: Tensor) -> Tensor:
        return normalised_BCHW.flatten(1)[:, :, None, None]

    def classify(self, features_BD: Tensor) -> Tensor:
        logits = robust_network()(features_BD.view(-1, 1, 8, 8))
        return logits.round(decimals=1) + 0 * features_BD[:, :1]


def test_a_network_that_masks_its_gradients_is_found_out_and_an_honest_one_is_not() -> None:
    honest = found("gradient_masking", subject())
    assert {check["name"]: check["passed"] for check in honest.data["checks"]}["large_radius"]
    masked = found("gradient_masking", subject(Saturated().eval(), radius=0.2))
    assert len(masked.data["warnings"]) >= 2
    assert masked.values["masking_square_drop"] > 0.002
    assert masked.values["masking_large_radius"] > 0
