"""AutoAttack on networks with known answers, few classes or non-finite logits; and resumed."""

import base64
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.distillation.data.images import Images
from core.distillation.evaluation import Finding, Step, last_finding
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.autoattack.fab import onto_plane_l2, onto_plane_linf
from core.distillation.evaluation.autoattack.norms import Norm
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows
from core.distillation.evaluation.autoattack.square import Square
from core.distillation.evaluation.autoattack.square_proposals import (
    HALVINGS,
    Proposals,
    pattern,
    side_of,
)
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import STANDARD_STAGES, Stage
from core.jobspec.resolved import ResolvedAutoAttack
from tests.distillation.evaluation.builders import (
    FlatClassifier,
    digit_images,
    robust_network,
    target,
)


class Linear(FlatClassifier):
    """Logits W x + b of 8x8 images."""

    def __init__(self, weight_KD: Tensor, bias_K: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_KD)
        self.bias = nn.Parameter(bias_K)

    def classify(self, features_BD: Tensor) -> Tensor:
        return features_BD @ self.weight.T + self.bias


def images_of(count: int, classes: int, seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(64, 192, (count, 1, 8, 8), generator=generator).to(torch.uint8)
    return Images(pixels, torch.arange(count) % classes)


def finding_of(network: Classifier, images: Images, classes: int, **changes: Any) -> Finding:
    settings = ResolvedAutoAttack(**{"radius": 0.05, "queries": 100, "iterations": 20, **changes})
    evaluated = target(network, images, classes=classes, batch_size=32)
    return last_finding(autoattack(evaluated, settings))


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.02), ("l2", 0.1)])
def test_linear_network_is_robust_beyond_its_margin(norm: Norm, radius: float) -> None:
    torch.manual_seed(1)
    weight_KD = torch.randn(2, 64)
    images = images_of(60, 2)
    images_BCHW, labels_B = images.batch(torch.arange(60))
    logits_BK = images_BCHW.flatten(1) @ weight_KD.T
    bias_K = torch.tensor([0.0, float((logits_BK[:, 0] - logits_BK[:, 1]).median())])
    logits_BK = logits_BK + bias_K
    margin_B = logits_BK[torch.arange(60), labels_B] - logits_BK[torch.arange(60), 1 - labels_B]
    difference_D = weight_KD[0] - weight_KD[1]
    reach = radius * float(difference_D.abs().sum() if norm == "linf" else difference_D.norm())
    expected = float((margin_B > reach).float().mean())
    network = Linear(weight_KD, bias_K)
    finding = finding_of(network, images, 2, norm=norm, radius=radius, iterations=100)
    assert 0 < expected < float((margin_B > 0).float().mean())
    assert finding.value == pytest.approx(expected)


@pytest.mark.parametrize("stage", STANDARD_STAGES)
def test_image_out_of_reach_is_robust(stage: Stage) -> None:
    """The label leads by 1, and no pixel counts for more than a hundredth of it."""
    network = Linear(torch.full((3, 64), 1e-4), torch.tensor([1.0, 0.0, 0.0]))
    images = Images(images_of(9, 3).images_NCHW, torch.zeros(9, dtype=torch.long))
    assert finding_of(network, images, 3, stages=(stage,)).value == 1.0


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_any_number_of_classes_can_be_attacked(classes: int) -> None:
    """Few classes need another loss and fewer targets, which the finding notes."""
    torch.manual_seed(classes)
    network = Linear(torch.randn(classes, 64), torch.zeros(classes))
    finding = finding_of(network, images_of(40, classes), classes, radius=0.01)
    assert 0 <= finding.require_value() <= finding.data["clean"]
    assert any("DLR" in note for note in finding.data["notes"]) == (classes < 4)
    assert any("targets" in note for note in finding.data["notes"]) == (classes < 10)


class NanOffTheGrid(Linear):
    """Its logits are NaN as soon as any pixel is not a whole 255th."""

    def classify(self, features_BD: Tensor) -> Tensor:
        distance_BD = ((features_BD * 255).round() / 255 - features_BD).abs()
        off_grid_B1 = distance_BD.amax(dim=1, keepdim=True) > 1e-5
        return super().classify(features_BD).masked_fill(off_grid_B1, float("nan"))


def test_non_finite_logits_are_not_robust_and_are_reported() -> None:
    images = Images(images_of(20, 3).images_NCHW, torch.zeros(20, dtype=torch.long))
    network = NanOffTheGrid(torch.zeros(3, 64), torch.tensor([5.0, 0.0, 0.0]))
    finding = finding_of(network, images, 3)
    assert finding.data["clean"] == 1.0
    assert (finding.value, finding.data["non_finite"]) == (0.0, 20)


def test_non_finite_logits_of_clean_images_are_misclassified() -> None:
    network = Linear(torch.full((3, 64), float("nan")), torch.zeros(3))
    finding = finding_of(network, images_of(10, 3), 3)
    assert (finding.value, finding.data["clean"], finding.data["non_finite"]) == (0.0, 0.0, 10)


def test_equal_logits_count_as_the_first_class() -> None:
    finding = finding_of(Linear(torch.zeros(4, 64), torch.zeros(4)), images_of(20, 4), 4)
    assert finding.value == finding.data["clean"] == 0.25


def without_seconds(finding: Finding) -> Any:
    stages = {
        name: {key: number for key, number in stage.items() if key != "seconds"}
        for name, stage in finding.data["stages"].items()
    }
    return finding.value, {**finding.data, "stages": stages}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_autoattack_resumes_from_every_step_to_the_same_finding(norm: Norm) -> None:
    evaluated = target(robust_network(), digit_images(50), batch_size=20, seed=5)
    radius = {"linf": 0.15, "l2": 0.7}[norm]
    settings = ResolvedAutoAttack(norm=norm, radius=radius, queries=30, iterations=10)
    *items, finding = autoattack(evaluated, settings)
    assert isinstance(finding, Finding)
    steps = [item for item in items if isinstance(item, Step)]
    states = {json.dumps(step.state) for step in steps}
    assert len(states) > 10
    completed = [step.completed for step in steps]
    assert completed == sorted(completed)
    assert completed[-1] <= steps[-1].total
    for text in states:
        resumed = last_finding(autoattack(evaluated, settings, json.loads(text)))
        assert without_seconds(resumed) == without_seconds(finding)


def test_autoattack_repeats_itself_and_its_mask_is_its_accuracy() -> None:
    evaluated = target(robust_network(), digit_images(60), batch_size=60, seed=3)
    settings = ResolvedAutoAttack(radius=0.15, queries=30, iterations=10)
    first, second = (last_finding(autoattack(evaluated, settings)) for _ in range(2))
    assert without_seconds(first) == without_seconds(second)
    mask = np.unpackbits(np.frombuffer(base64.b64decode(first.data["standing"]), np.uint8))[:60]
    assert mask.mean() == pytest.approx(first.value)
    assert first.mask == "".join(map(str, mask))
    assert first.data["stages"]["square"]["standing"] == first.value


def test_fab_does_not_depend_on_the_batch_size() -> None:
    settings = ResolvedAutoAttack(radius=0.15, stages=("fab-t",), iterations=15)
    values = set()
    for batch_size in (7, 60):
        evaluated = target(robust_network(), digit_images(60), batch_size=batch_size)
        values.add(last_finding(autoattack(evaluated, settings)).require_value())
    assert len(values) == 1


# -- Square


class RecordingNetwork(nn.Module):
    """The robust network, which records the range of its images and their number."""

    def __init__(self) -> None:
        super().__init__()
        self.network = robust_network()
        self.lowest = 1.0
        self.highest = 0.0
        self.images = 0

    def forward(self, images_BCHW: Tensor) -> Tensor:
        self.lowest = min(self.lowest, float(images_BCHW.min()))
        self.highest = max(self.highest, float(images_BCHW.max()))
        self.images += len(images_BCHW)
        logits_BK: Tensor = self.network(images_BCHW)
        return logits_BK


def search_with_square(
    network: nn.Module, radius: float, queries: int, rows_at_once: int = 40
) -> Tensor:
    """Return which of 40 digits are robust, [B] bool."""
    images_BCHW, labels_B = digit_images(40).batch(torch.arange(40))
    robustness = BatchRobustness(40, images_BCHW.device)
    square = Square(network, norm="linf", radius=radius, queries=queries, rows_at_once=rows_at_once)
    rows = Rows(torch.arange(40), images_BCHW, labels_B)
    for _ in square.search(rows, robustness, torch.Generator().manual_seed(0)):
        pass
    return robustness.robust_B


def test_square_keeps_the_range_and_gains_from_more_queries() -> None:
    few, many = (
        int(search_with_square(RecordingNetwork(), 0.2, queries).sum()) for queries in (5, 300)
    )
    assert many < few
    network = RecordingNetwork()
    search_with_square(network, 0.3, 20)
    assert network.lowest >= 0
    assert network.highest <= 1


def test_square_is_the_sequential_search_without_repeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proposals at once give the result of one after the other, and no proposal is made twice."""

    def search(rows_at_once: int) -> tuple[list[bool], int]:
        network = RecordingNetwork()
        robust_B = search_with_square(network, 0.2, 1500, rows_at_once)
        return robust_B.tolist(), network.images

    robust_at_once, images_at_once = search(160)
    robust, images = search(1)
    monkeypatch.setattr(Proposals, "find_repeats", lambda self: torch.full((1500,), -1))
    robust_with_repeats, images_with_repeats = search(1)
    assert robust_at_once == robust == robust_with_repeats
    assert 0 < sum(robust) < 40
    assert images < images_at_once < 0.8 * images_with_repeats


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_repeated_proposals_are_equal(norm: Norm) -> None:
    images_BCHW = torch.rand(2, 1, 6, 6)
    generator = torch.Generator().manual_seed(0)
    proposals = Proposals(images_BCHW, norm, 0.1, 3000, generator)
    query_Q = torch.arange(3000)
    best_QCHW = torch.rand(1, 1, 6, 6).expand(3000, -1, -1, -1)
    repeated = (proposals.previous_same_Q >= 0).nonzero().flatten()
    assert len(repeated) > 100
    proposed_QCHW = proposals.propose(query_Q, images_BCHW[:1].expand(3000, -1, -1, -1), best_QCHW)
    first = proposed_QCHW[proposals.previous_same_Q[repeated]]
    assert torch.equal(proposed_QCHW[repeated], first)
    assert (proposals.previous_same_Q < query_Q).all()


def test_squares_shrink_by_the_schedule_of_10000_queries() -> None:
    """Whatever the number of queries is."""
    assert side_of(0, 32, 32, "linf") == round((0.8 * 1024) ** 0.5)
    assert side_of(HALVINGS[0] + 1, 32, 32, "linf") == round((0.4 * 1024) ** 0.5)
    assert side_of(9000, 8, 8, "linf") == 1
    assert side_of(9000, 32, 32, "l2") == 3
    assert pattern(5, torch.device("cpu")).square().sum().item() == pytest.approx(1.0)


# -- FAB's moves onto planes


def random_planes(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return points, normals and offsets of planes that have a point within the box."""
    generator = torch.Generator().manual_seed(0)
    points_RD = torch.rand(count, 16, generator=generator)
    normals_RD = torch.randn(count, 16, generator=generator)
    offsets_R = (normals_RD * torch.rand(count, 16, generator=generator)).sum(dim=1)
    return points_RD, normals_RD, offsets_R


@pytest.mark.parametrize("project", [onto_plane_linf, onto_plane_l2])
def test_moves_end_on_the_plane_and_inside_the_box(project: Any) -> None:
    points_RD, normals_RD, offsets_R = random_planes(200)
    ends_RD = points_RD + project(points_RD, normals_RD, offsets_R)
    assert ends_RD.min() >= -1e-6
    assert ends_RD.max() <= 1 + 1e-6
    on_plane_R = (normals_RD * ends_RD).sum(dim=1)
    torch.testing.assert_close(on_plane_R, offsets_R, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-20, 1e10])
def test_move_does_not_depend_on_the_scale_of_the_gradient(scale: float) -> None:
    points_RD, normals_RD, offsets_R = random_planes(50)
    expected_RD = onto_plane_linf(points_RD, normals_RD, offsets_R)
    moves_RD = onto_plane_linf(points_RD, normals_RD * scale, offsets_R * scale)
    torch.testing.assert_close(moves_RD, expected_RD, atol=1e-5, rtol=1e-4)


def test_pixels_move_to_their_ends_if_the_plane_is_out_of_reach() -> None:
    points_RD = torch.tensor([[0.5, 0.9, 0.3]])
    normals_RD = torch.tensor([[1.0, -3.0, 0.0]])
    for project in (onto_plane_linf, onto_plane_l2):
        moves_RD = project(points_RD, normals_RD, torch.tensor([50.0]))
        torch.testing.assert_close(moves_RD[:, :2], torch.tensor([[0.5, -0.9]]))


def test_shortest_moves_onto_a_plane_by_hand() -> None:
    points_RD = torch.tensor([[0.5, 0.9]])
    normals_RD = torch.tensor([[1.0, 3.0]])
    offsets_R = torch.tensor([3.6])
    # Gap 0.4: in L-infinity both would move by 0.1, just what the second has left; in L2 by
    # (0.04, 0.12), the second at most 0.1.
    expected_RD = torch.tensor([[0.1, 0.1]])
    torch.testing.assert_close(onto_plane_linf(points_RD, normals_RD, offsets_R), expected_RD)
    torch.testing.assert_close(onto_plane_l2(points_RD, normals_RD, offsets_R), expected_RD)
    moves_RD = onto_plane_l2(points_RD, normals_RD, torch.tensor([3.3]))
    torch.testing.assert_close(moves_RD, torch.tensor([[0.01, 0.03]]))
