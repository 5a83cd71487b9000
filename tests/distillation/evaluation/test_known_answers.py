"""Every measure of robustness on networks of which it is known how far each image is from being classified as something else."""

import pytest
import torch
from torch import Tensor, nn

from core.distillation.data.images import Images
from core.distillation.evaluation import Finding
from core.distillation.evaluation.accuracy import measure
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import STANDARD_STAGES, Stage
from core.jobspec.resolved import ResolvedAutoAttack, ResolvedCwAttack, ResolvedPgdAttack

SIDE, CLASSES = 8, 4
REACH = {"linf": 0.06, "l2": 0.24}
"""Radii."""
NEAREST_OF_SQUARE = {
    ("plane", "linf"): 0.5,
    ("plane", "l2"): 0.25,
    ("cube", "linf"): 0.95,
    ("cube", "l2"): 0.3,
}
"""In radii, of images within reach. Square changes no pixel of the last row or column alone, and in L2 windows of 3x3 or more."""


class TwoOfFour(Classifier):
    """Class 0 where the score is above 0, else class 1; classes 2 and 3 are far behind."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW.flatten(1)[:, :, None, None]

    def classify(self, features_BD: Tensor) -> Tensor:
        score_B = self.score(features_BD)
        behind_B = torch.full_like(score_B, -10.0)
        return torch.stack([score_B / 2, -score_B / 2, behind_B, behind_B - 1], dim=1)

    def score(self, pixels_BD: Tensor) -> Tensor:
        raise NotImplementedError


class Plane(TwoOfFour):
    """The score is the distance from a plane, in the norm."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        weight_D = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(
            weight_D / (weight_D.abs().sum() if norm == "linf" else weight_D.norm())
        )

    def score(self, pixels_BD: Tensor) -> Tensor:
        return (pixels_BD - 0.5) @ self.weight

    def image(self, distance: float, norm: str) -> Tensor:
        toward_D = self.weight.sign() if norm == "linf" else self.weight
        return 0.5 + distance * toward_D.detach() / (toward_D.detach() @ self.weight.detach())


class Cube(TwoOfFour):
    """Class 0 inside a cube around grey. The score, 1-Lipschitz, is how far the nearest face is, in L-infinity and L2 alike."""

    HALF = 0.35

    def score(self, pixels_BD: Tensor) -> Tensor:
        return self.HALF - (pixels_BD - 0.5).abs().amax(dim=1)

    def image(self, distance: float, _norm: str) -> Tensor:
        """One pixel, somewhere, at that distance from the face; the others far from theirs."""
        pixels_D = torch.full((SIDE * SIDE,), 0.5)
        pixels_D[27] += self.HALF - distance
        return pixels_D


def in_and_out_of_reach(
    network: Plane | Cube, norm: str, nearest: float
) -> tuple[Images, list[bool]]:
    """Images at several distances, in radii, and which of them no attack can break: measured, as pixels are whole 255ths."""
    shares = [0.1, 0.6 * nearest, nearest, 1.1, 1.25, 1.4]
    pixels_ND = (
        torch.stack([network.image(share * REACH[norm], norm) for share in shares]).mul(255).round()
    )
    distances = network.score(pixels_ND / 255)
    assert ((distances / REACH[norm] - 1).abs() > 0.01).all()
    images = Images(
        pixels_ND.to(torch.uint8).view(-1, 1, SIDE, SIDE),
        torch.zeros(len(shares), dtype=torch.long),
    )
    return images, (distances > REACH[norm]).tolist()


def kept(network: Classifier, images: Images, norm: str, stages: tuple[Stage, ...]) -> list[bool]:
    """Which images stand, one at a time."""
    settings, found = (
        ResolvedAutoAttack(norm=norm, radius=REACH[norm], stages=stages, queries=3000),
        [],
    )
    for place in range(len(images)):
        one = images.subset(torch.tensor([place]))
        *_, finding = autoattack(network, one, settings, classes=CLASSES, batch_size=1, seed=0)
        assert isinstance(finding, Finding)
        found.append(finding.value == 1)
    return found


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", ["plane", "cube"])
@pytest.mark.parametrize("stages", [*((stage,) for stage in STANDARD_STAGES), STANDARD_STAGES])
def test_autoattack_breaks_exactly_what_is_within_reach(
    stages: tuple[Stage, ...], kind: str, norm: str
) -> None:
    network = Plane(norm) if kind == "plane" else Cube()
    nearest = NEAREST_OF_SQUARE[kind, norm] if stages == ("square",) else 0.95
    images, expected = in_and_out_of_reach(network, norm, nearest)
    assert kept(network, images, norm, stages) == expected


@pytest.mark.parametrize("attack", [ResolvedPgdAttack, ResolvedCwAttack])
@pytest.mark.parametrize("kind", ["plane", "cube"])
def test_pgd_and_cw_break_exactly_what_is_within_reach(
    attack: type[ResolvedPgdAttack | ResolvedCwAttack], kind: str
) -> None:
    network = Plane("linf") if kind == "plane" else Cube()
    images, expected = in_and_out_of_reach(network, "linf", 0.95)
    settings = attack(radius=REACH["linf"], step_size=REACH["linf"] / 8)
    for place, stands in enumerate(expected):
        one = images.subset(torch.tensor([place]))
        *_, finding = measure(network, one, settings, classes=CLASSES, batch_size=1, seed=0)
        assert isinstance(finding, Finding)
        assert finding.value == stands
