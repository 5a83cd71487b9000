"""Every attack on networks for which each image's distance to the decision boundary is known."""

import pytest
import torch
from torch import Tensor, nn

from core.distillation.data.images import Images
from core.distillation.evaluation import last_finding, measure
from core.distillation.evaluation.autoattack.norms import Norm
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import STANDARD_STAGES, Stage
from core.jobspec.resolved import ResolvedAutoAttack, ResolvedCwAttack, ResolvedPgdAttack
from tests.distillation.evaluation.builders import FlatClassifier, target

SIDE = 8
CLASSES = 4
RADII: dict[Norm, float] = {"linf": 0.06, "l2": 0.24}
NEAREST_OF_SQUARE: dict[tuple[str, Norm], float] = {
    ("plane", "linf"): 0.5,
    ("plane", "l2"): 0.25,
    ("cube", "linf"): 0.95,
    ("cube", "l2"): 0.3,
}
"""Distance in radii that Square covers. It changes no pixel of the last row or column alone, and in
L2 windows of 3x3 or more."""


class TwoOfFour(FlatClassifier):
    """Class 0 where the score is above 0, else class 1; classes 2 and 3 are far behind."""

    def classify(self, features_BD: Tensor) -> Tensor:
        score_B = self.score(features_BD)
        behind_B = torch.full_like(score_B, -10.0)
        return torch.stack([score_B / 2, -score_B / 2, behind_B, behind_B - 1], dim=1)

    def score(self, pixels_BD: Tensor) -> Tensor:
        raise NotImplementedError


class Plane(TwoOfFour):
    """The score is the distance from a plane, in the norm."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        weight_D = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(0))
        dual_norm = weight_D.abs().sum() if norm == "linf" else weight_D.norm()
        self.weight = nn.Parameter(weight_D / dual_norm)

    def score(self, pixels_BD: Tensor) -> Tensor:
        return (pixels_BD - 0.5) @ self.weight

    def image(self, distance: float, norm: Norm) -> Tensor:
        direction_D = (self.weight.sign() if norm == "linf" else self.weight).detach()
        return 0.5 + distance * direction_D / (direction_D @ self.weight.detach())


class Cube(TwoOfFour):
    """Class 0 inside a cube around gray.

    The score, 1-Lipschitz, is the distance to the nearest face, in L-infinity and L2 alike.
    """

    HALF = 0.35

    def score(self, pixels_BD: Tensor) -> Tensor:
        return self.HALF - (pixels_BD - 0.5).abs().amax(dim=1)

    def image(self, distance: float, _norm: Norm) -> Tensor:
        """Return an image with one pixel at that distance from its face, all others far away."""
        pixels_D = torch.full((SIDE * SIDE,), 0.5)
        pixels_D[27] += self.HALF - distance
        return pixels_D


def images_at_known_distances(
    network: Plane | Cube, norm: Norm, nearest: float
) -> tuple[Images, list[bool]]:
    """Return images at several distances, in radii, and which of them are out of reach.

    Distances are measured, as pixels are whole 255ths.
    """
    shares = [0.1, 0.6 * nearest, nearest, 1.1, 1.25, 1.4]
    radius = RADII[norm]
    pixels_ND = torch.stack([network.image(share * radius, norm) for share in shares])
    pixels_ND = pixels_ND.mul(255).round()
    distances = network.score(pixels_ND / 255)
    assert ((distances / radius - 1).abs() > 0.01).all()
    images_NCHW = pixels_ND.to(torch.uint8).view(-1, 1, SIDE, SIDE)
    images = Images(images_NCHW, torch.zeros(len(shares), dtype=torch.long))
    return images, (distances > radius).tolist()


def is_robust(
    network: Classifier,
    images: Images,
    index: int,
    settings: ResolvedPgdAttack | ResolvedCwAttack | ResolvedAutoAttack,
) -> float:
    """Attack one image by itself, and return its accuracy: 1 or 0."""
    one_image = target(network, images.subset(torch.tensor([index])), classes=CLASSES, batch_size=1)
    return last_finding(measure(one_image, settings)).require_value()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", ["plane", "cube"])
@pytest.mark.parametrize("stages", [*((stage,) for stage in STANDARD_STAGES), STANDARD_STAGES])
def test_autoattack_finds_exactly_what_is_within_reach(
    stages: tuple[Stage, ...], kind: str, norm: Norm
) -> None:
    network = Plane(norm) if kind == "plane" else Cube()
    nearest = NEAREST_OF_SQUARE[kind, norm] if stages == ("square",) else 0.95
    images, expected = images_at_known_distances(network, norm, nearest)
    settings = ResolvedAutoAttack(norm=norm, radius=RADII[norm], stages=stages, queries=3000)
    results = [is_robust(network, images, index, settings) == 1 for index in range(len(images))]
    assert results == expected


@pytest.mark.parametrize("attack", [ResolvedPgdAttack, ResolvedCwAttack])
@pytest.mark.parametrize("kind", ["plane", "cube"])
def test_pgd_and_cw_find_exactly_what_is_within_reach(
    attack: type[ResolvedPgdAttack | ResolvedCwAttack], kind: str
) -> None:
    network = Plane("linf") if kind == "plane" else Cube()
    images, expected = images_at_known_distances(network, "linf", 0.95)
    settings = attack(radius=RADII["linf"], step_size=RADII["linf"] / 8)
    for index, out_of_reach in enumerate(expected):
        assert is_robust(network, images, index, settings) == out_of_reach
