"""The same network and images under this AutoAttack and under the reference implementation (pyautoattack), stage by stage."""

import pytest
import torch
from pyautoattack import AutoAttack as Reference
from torch import Tensor

from core.distillation.evaluation import Finding
from core.distillation.evaluation.autoattack import apgd, autoattack
from core.distillation.evaluation.autoattack.norms import Norm, length
from core.jobspec.evaluation import STANDARD_STAGES, Stage
from core.jobspec.resolved import ResolvedAutoAttack
from tests.distillation.evaluation.robust import robust_network, some_images

IMAGES = 200
QUERIES = 500
"""Of Square here: the reference takes minutes for 5000."""
RADII = {"linf": 0.12, "l2": 0.6}


def ours(norm: str, stages: tuple[Stage, ...], seed: int) -> Finding:
    settings = ResolvedAutoAttack(norm=norm, radius=RADII[norm], stages=stages, queries=QUERIES)
    *_, found = autoattack(
        robust_network(), some_images(IMAGES), settings, classes=10, batch_size=IMAGES, seed=seed
    )
    assert isinstance(found, Finding)
    return found


def reference(norm: str, stages: tuple[Stage, ...], seed: int) -> float:
    network, (images, labels) = robust_network(), some_images(IMAGES).batch(torch.arange(IMAGES))
    name = {"linf": "Linf", "l2": "L2"}[norm]
    suite = Reference(
        network,
        norm=name,
        eps=RADII[norm],
        version="custom",
        attacks=list(stages),
        device="cpu",
        seed=seed,
    )
    suite.apgd.n_restarts = suite.apgd_targeted.n_restarts = suite.fab.n_restarts = (
        suite.square.n_restarts
    ) = 1
    suite.square.n_queries = QUERIES
    attacked = suite.run_standard_evaluation(images, labels, batch_size=IMAGES)
    attacked = attacked[0] if isinstance(attacked, tuple) else attacked
    return float((network(attacked).argmax(dim=1) == labels).float().mean())


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("seed", [0, 1])
def test_from_the_same_starts_apgd_ends_with_the_same_accuracy(
    norm: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(images: Tensor, radius: float, norm: Norm, generator: torch.Generator) -> Tensor:
        """The reference's: of torch's global generator."""
        torch.manual_seed(seed)
        noise = 2 * torch.rand(images.shape) - 1 if norm == "linf" else torch.randn(images.shape)
        return (images + radius * noise / (length(noise, norm) + 1e-12)).clamp(0, 1)

    monkeypatch.setattr(apgd, "random_start", start)
    found = ours(norm, ("apgd-ce",), seed)
    assert found.value == pytest.approx(reference(norm, ("apgd-ce",), seed), abs=1 / IMAGES + 1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("stage", [stage for stage in STANDARD_STAGES if stage != "apgd-ce"])
def test_each_stage_alone_agrees_within_one_image_in_200(stage: Stage, norm: str) -> None:
    """Random starts alone move an image or two: the mean over seeds may be one image off what the reference gives over seeds."""
    seeds = (0,) if stage == "fab-t" else (0, 1, 2)
    mine = [float(ours(norm, (stage,), seed).value or 0) for seed in seeds]
    theirs = [reference(norm, (stage,), seed) for seed in seeds]
    one = 1 / IMAGES + 1e-6
    assert min(theirs) - one <= sum(mine) / len(mine) <= max(theirs) + one


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_whole_agrees_within_one_image_in_200(norm: str) -> None:
    found = ours(norm, STANDARD_STAGES, 0)
    assert found.value == pytest.approx(reference(norm, STANDARD_STAGES, 0), abs=1 / IMAGES + 1e-6)
    assert 0.3 < (found.value or 0) < 0.9
