"""The findings and the progress of whole analyses, on networks of one pixel, by hand."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.data.images import Images
from core.distillation.evaluation import EvaluationTarget, Finding, Step, measure
from core.distillation.evaluation.analyses import gradient_masking as masking
from core.distillation.evaluation.analyses.adversarial_batches import pgd20_images
from core.distillation.evaluation.analyses.network_outputs import features_and_probabilities
from core.distillation.evaluation.analyses.spectra import spectra_of_outputs
from core.jobspec.evaluation import Calibration, GradCam, GradientMasking, Spectra, Transfer
from core.jobspec.resolved import ResolvedAutoAttack, ResolvedRadiusSweep, ResolvedVarianceGap
from core.summary_statistics import wilson_interval
from tests.distillation.evaluation.builders import PixelClassifier, target


class Brightness(PixelClassifier):
    """Class 1 where the pixel is above 0.5, by a slope of 4."""

    def classify(self, features_BD: Tensor) -> Tensor:
        score_B1 = 4 * (features_BD[:, :1] - 0.5)
        return torch.cat([-score_B1, score_B1], dim=1)


class NanInBrightImages(Brightness):
    """Its logits are NaN where the pixel is above 0.8."""

    def classify(self, features_BD: Tensor) -> Tensor:
        return torch.where(features_BD > 0.8, torch.nan, super().classify(features_BD))


class Constant(PixelClassifier):
    """Class 0, whatever the image: its adversarial images are random starts."""

    def classify(self, features_BD: Tensor) -> Tensor:
        return torch.tensor([1.0, -1.0]) + 0 * features_BD[:, :1]


# Pixels 0.4, 0.6, 0.2 and 0.902, of their own class each.
IMAGES = Images(
    torch.tensor([102, 153, 51, 230], dtype=torch.uint8)[:, None, None, None],
    torch.tensor([0, 1, 0, 1]),
)


def evaluated(**changes: Any) -> EvaluationTarget:
    return target(Brightness(), IMAGES, **{"batch_size": 3, "classes": 2, **changes})


def run(subject: EvaluationTarget, settings: Any) -> tuple[list[tuple[int, int]], Finding]:
    """Return completed and total units of each step, and the finding."""
    *steps, finding = measure(subject, settings)
    assert isinstance(finding, Finding)
    return [(step.completed, step.total) for step in steps if isinstance(step, Step)], finding


def test_radius_sweep_by_hand() -> None:
    settings = ResolvedRadiusSweep(radii=(0.0, 0.05, 0.2, 0.35), steps=7)
    steps, finding = run(evaluated(), settings)
    assert steps == [(3, 16), (4, 16), (7, 16), (8, 16), (11, 16), (12, 16), (15, 16), (16, 16)]
    assert finding.value is None
    assert finding.data["radii"] == [0.0, 0.05, 0.2, 0.35]
    assert finding.data["accuracy"] == [1.0, 1.0, 0.5, 0.25]
    assert finding.data["intervals"] == [
        list(wilson_interval(share, 4)) for share in (1.0, 1.0, 0.5, 0.25)
    ]
    assert (finding.data["images"], finding.data["warnings"]) == (4, [])


def test_transfer_by_hand() -> None:
    """Random starts within 0.09 cross no boundary; the network's own attack crosses two."""
    steps, finding = run(evaluated(reference=Constant(), radius=0.0999), Transfer())
    assert steps == [(3, 4), (4, 4)]
    assert finding.value == 1.0
    assert finding.data["own_accuracy"] == 1.0
    assert finding.data["reference_accuracy"] == 0.5
    assert finding.data["per_class"] == [1.0, 1.0]
    _, wider = run(evaluated(reference=Constant(), radius=0.12), Transfer())
    assert wider.data["own_accuracy"] == 0.5
    assert wider.require_value() > 0.5


def test_calibration_and_grad_cam_count_their_steps() -> None:
    assert run(evaluated(), Calibration())[0] == [(3, 4), (4, 4)]
    assert run(evaluated(), GradCam())[0] == [(1, 1)]
    assert run(evaluated(reference=Constant()), GradCam())[0] == [(1, 2), (2, 2)]


def test_spectra_by_hand() -> None:
    """Of network and reference; the greater number of images left out is told."""
    subject = evaluated(reference=NanInBrightImages(), radius=0.05)
    steps, finding = run(subject, Spectra())
    assert steps == [(3, 8), (4, 8), (7, 8), (8, 8)]
    assert finding.data["images"] == 4
    assert finding.data["reference"]["images_left_out"] == 1
    assert finding.data["warnings"] == [
        "1 images were left out: their features or probabilities are not finite."
    ]
    outputs = []
    for end, indices in ((3, torch.arange(3)), (4, torch.tensor([3]))):
        images_BCHW, labels_B = IMAGES.batch(indices)
        attacked = pgd20_images(Brightness(), subject, images_BCHW, labels_B, end, "spectra")
        clean = features_and_probabilities(Brightness(), images_BCHW)
        outputs.append((*clean, *features_and_probabilities(Brightness(), attacked)))
    columns = [torch.cat(column).double() for column in zip(*outputs, strict=True)]
    expected = spectra_of_outputs(*columns)
    for kind in ("features", "gram"):
        rank = expected[kind]["effective_rank"]
        assert finding.data["network"][kind]["effective_rank"] == pytest.approx(rank)
        assert finding.values[f"effective_rank_{kind}"] == pytest.approx(rank)
        assert finding.data["network"][kind]["eigenvalues"] == pytest.approx(
            expected[kind]["eigenvalues"]
        )


def test_variance_gap_by_hand() -> None:
    """At each radius, the target's included, of both networks."""
    subject = evaluated(reference=NanInBrightImages(), radius=0.05)
    steps, finding = run(subject, ResolvedVarianceGap(radii=(0.2,)))
    assert steps == [(end, 16) for end in (3, 4, 7, 8, 11, 12, 15, 16)]
    points = finding.data["network"]["points"]
    assert [(point["radius"], point["accuracy"]) for point in points] == [(0.05, 1.0), (0.2, 0.5)]
    # Pixels 102, 153, 51 and 230 move by 12.75: 114.75, 140.25, 63.75 and 217.25.
    clean = torch.tensor([102.0, 153.0, 51.0, 230.0]).var(correction=0)
    attacked = torch.tensor([114.75, 140.25, 63.75, 217.25]).var(correction=0)
    gap = 100 * float((clean - attacked) / clean)
    assert points[0]["features"] == pytest.approx(gap, rel=1e-4)
    assert finding.values["variance_gap_features"] == pytest.approx(gap, rel=1e-4)
    assert finding.values["variance_gap_gram"] == finding.data["network"]["gram"]
    reference = finding.data["reference"]["points"]
    assert [point["accuracy"] for point in reference] == [0.75, 0.25]
    assert [point["images_left_out"] for point in reference] == [1, 1]
    assert finding.data["images"] == 4
    assert finding.data["warnings"] == [
        "1 images were left out: their features or probabilities are not finite."
    ]


def test_gradient_masking_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the progress is that of the batches, half that of APGD and Square."""
    attacks: list[ResolvedAutoAttack] = []

    def autoattack(
        subject: EvaluationTarget, attack: ResolvedAutoAttack, state: Any
    ) -> Iterator[Step | Finding]:
        attacks.append(attack)
        assert state is None
        yield Step(250, 1000, {"stage": 1})
        yield Step(1000, 1000, {"stage": 2})
        stages = {"apgd-ce": {"standing": 0.9}, "apgd-t": {"standing": 0.5}}
        yield Finding(0.25, data={"stages": {**stages, "square": {"standing": 0.25}}})

    monkeypatch.setattr(masking, "autoattack", autoattack)
    *steps, finding = measure(evaluated(radius=0.05), GradientMasking(queries=77))
    assert isinstance(finding, Finding)
    progress = [(step.completed, step.total) for step in steps if isinstance(step, Step)]
    assert progress == [(3, 8), (4, 8), (5, 8), (8, 8)]
    states = [step.state["search"] for step in steps if isinstance(step, Step)]
    assert states == [None, None, {"stage": 1}, {"stage": 2}]
    (attack,) = attacks
    assert (attack.norm, attack.radius) == ("linf", 0.05)
    assert attack.stages == ("apgd-ce", "apgd-t", "square")
    assert (attack.iterations, attack.queries) == (20, 77)
    assert finding.data["share"] == {
        "clean": 1.0,
        "noise": 1.0,
        "pgd": 1.0,
        "large": 0.0,
        "gradients": 0.5,
        "square": 0.25,
    }
