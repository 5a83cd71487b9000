"""AutoAttack on networks whose answer is known, with few classes, with logits that are no numbers, and stopped in between."""

import base64
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.distillation.data.images import Images
from core.distillation.evaluation import Finding, Step
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.autoattack.fab import onto_plane_l2, onto_plane_linf
from core.distillation.evaluation.autoattack.rows import Rows, Standing
from core.distillation.evaluation.autoattack.square import (
    HALVINGS,
    Proposals,
    Square,
    pattern,
    side_of,
)
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import STANDARD_STAGES, Stage
from core.jobspec.resolved import ResolvedAutoAttack
from tests.distillation.evaluation.robust import robust_network, some_images


class Linear(Classifier):
    """Logits W x + b of 8x8 images."""

    def __init__(self, weight_KD: Tensor, bias_K: Tensor) -> None:
        super().__init__(channels=1, normalization="none")
        self.weight, self.bias = nn.Parameter(weight_KD), nn.Parameter(bias_K)

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW.flatten(1)[:, :, None, None]

    def classify(self, features_BD: Tensor) -> Tensor:
        return features_BD @ self.weight.T + self.bias


def images_of(count: int, classes: int, seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(64, 192, (count, 1, 8, 8), generator=generator).to(torch.uint8)
    return Images(pixels, torch.arange(count) % classes)


def result(network: Classifier, images: Images, classes: int, **changes: Any) -> Finding:
    settings = ResolvedAutoAttack(**{"radius": 0.05, "queries": 100, "iterations": 20, **changes})
    *_, found = autoattack(network, images, settings, classes=classes, batch_size=32, seed=0)
    assert isinstance(found, Finding)
    return found


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.02), ("l2", 0.1)])
def test_of_a_linear_network_exactly_those_stand_whose_margin_is_out_of_reach(
    norm: str, radius: float
) -> None:
    torch.manual_seed(1)
    weight, images = torch.randn(2, 64), images_of(60, 2)
    logits = images.batch(torch.arange(60))[0].flatten(1) @ weight.T
    bias = torch.tensor([0.0, float((logits[:, 0] - logits[:, 1]).median())])
    x, y = images.batch(torch.arange(60))
    logits = x.flatten(1) @ weight.T + bias
    margin = logits[torch.arange(60), y] - logits[torch.arange(60), 1 - y]
    difference = weight[0] - weight[1]
    reach = radius * float(difference.abs().sum() if norm == "linf" else difference.norm())
    expected = float((margin > reach).float().mean())
    found = result(Linear(weight, bias), images, 2, norm=norm, radius=radius, iterations=100)
    assert 0 < expected < float((margin > 0).float().mean())
    assert found.value == pytest.approx(expected)


@pytest.mark.parametrize("stage", STANDARD_STAGES)
def test_what_cannot_be_reached_is_not_broken(stage: Stage) -> None:
    """The label leads by 1, and no pixel counts for more than a hundredth of it."""
    weight = torch.full((3, 64), 1e-4)
    images = Images(images_of(9, 3).images_NCHW, torch.zeros(9, dtype=torch.long))
    assert (
        result(Linear(weight, torch.tensor([1.0, 0.0, 0.0])), images, 3, stages=(stage,)).value
        == 1.0
    )


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_any_number_of_classes_can_be_attacked_and_the_report_says_what_was_different(
    classes: int,
) -> None:
    torch.manual_seed(classes)
    network, images = Linear(torch.randn(classes, 64), torch.zeros(classes)), images_of(40, classes)
    found = result(network, images, classes, radius=0.01)
    assert 0 <= (found.value or 0) <= found.data["clean"]
    assert any("DLR" in note for note in found.data["notes"]) == (classes < 4)
    assert any("targets" in note for note in found.data["notes"]) == (classes < 10)


class NanNearGrey(Linear):
    """Not a number as soon as any pixel leaves the grid of whole 255ths."""

    def classify(self, features_BD: Tensor) -> Tensor:
        moved_B1 = ((features_BD * 255).round() / 255 - features_BD).abs().amax(
            dim=1, keepdim=True
        ) > 1e-5
        return super().classify(features_BD).masked_fill(moved_B1, float("nan"))


def test_logits_that_are_no_numbers_are_not_robust_and_are_reported() -> None:
    images = images_of(20, 3)
    labels = Images(images.images_NCHW, torch.zeros(20, dtype=torch.long))
    found = result(NanNearGrey(torch.zeros(3, 64), torch.tensor([5.0, 0.0, 0.0])), labels, 3)
    assert found.data["clean"] == 1.0
    assert (found.value, found.data["non_finite"]) == (0.0, 20)


def test_logits_that_are_no_numbers_to_begin_with_are_wrong() -> None:
    found = result(Linear(torch.full((3, 64), float("nan")), torch.zeros(3)), images_of(10, 3), 3)
    assert (found.value, found.data["clean"], found.data["non_finite"]) == (0.0, 0.0, 10)


def test_logits_that_are_all_equal_are_counted_as_the_first_class() -> None:
    found = result(Linear(torch.zeros(4, 64), torch.zeros(4)), images_of(20, 4), 4)
    assert found.value == found.data["clean"] == 0.25


def timeless(finding: Finding) -> Any:
    stages = {
        name: {key: it[key] for key in it if key != "seconds"}
        for name, it in finding.data["stages"].items()
    }
    return finding.value, {**finding.data, "stages": stages}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_from_every_step_it_goes_on_to_the_same_finding(norm: str) -> None:
    network, images = robust_network(), some_images(50)
    settings = ResolvedAutoAttack(
        norm=norm, radius={"linf": 0.15, "l2": 0.7}[norm], queries=30, iterations=10
    )
    common: dict[str, Any] = {"classes": 10, "batch_size": 20, "seed": 5}
    *steps, whole = autoattack(network, images, settings, **common)
    assert isinstance(whole, Finding)
    states = {json.dumps(step.state): step for step in steps if isinstance(step, Step)}
    assert len(states) > 10
    done = [step.completed for step in steps if isinstance(step, Step)]
    assert done == sorted(done)
    assert done[-1] <= steps[-1].total  # type: ignore[union-attr]
    for text in states:
        *_, again = autoattack(network, images, settings, **common, state=json.loads(text))
        assert isinstance(again, Finding)
        assert timeless(again) == timeless(whole)


def test_a_seed_repeats_itself_and_the_mask_is_the_accuracy() -> None:
    network, images = robust_network(), some_images(60)
    settings = ResolvedAutoAttack(radius=0.15, queries=30, iterations=10)
    one, two = (
        next(
            it
            for it in autoattack(network, images, settings, classes=10, batch_size=60, seed=3)
            if isinstance(it, Finding)
        )
        for _ in range(2)
    )
    assert timeless(one) == timeless(two)
    mask = np.unpackbits(np.frombuffer(base64.b64decode(one.data["standing"]), np.uint8))[:60]
    assert mask.mean() == pytest.approx(one.value)
    assert one.data["stages"]["square"]["standing"] == one.value


def test_the_batch_size_matters_to_fab_not_at_all() -> None:
    settings = ResolvedAutoAttack(radius=0.15, stages=("fab-t",), iterations=15)
    values = set()
    for batch_size in (7, 60):
        *_, found = autoattack(
            robust_network(), some_images(60), settings, classes=10, batch_size=batch_size, seed=0
        )
        assert isinstance(found, Finding)
        values.add(found.value)
    assert len(values) == 1


class Watching(nn.Module):
    """The robust network, and the farthest that any image it was asked about was from its original."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.lowest, self.highest = robust_network(), 1.0, 0.0

    def forward(self, images: Tensor) -> Tensor:
        self.lowest, self.highest = (
            min(self.lowest, float(images.min())),
            max(self.highest, float(images.max())),
        )
        return self.network(images)


def left_by_square(
    network: nn.Module, images: Tensor, labels: Tensor, radius: float, queries: int
) -> int:
    standing = Standing(len(images), images.device)
    square = Square(network, norm="linf", radius=radius, queries=queries, rows_at_once=len(images))
    rows = Rows(torch.arange(len(images)), images, labels)
    for _ in square.search(rows, standing, torch.Generator().manual_seed(0)):
        pass
    return int((~standing.broken_B).sum())


def test_square_stays_within_the_pixels_range_and_more_queries_break_no_less() -> None:
    images, labels = some_images(40).batch(torch.arange(40))
    few, many = (left_by_square(Watching(), images, labels, 0.2, queries) for queries in (5, 300))
    assert many < few
    watching = Watching()
    left_by_square(watching, images, labels, 0.3, 20)
    assert watching.lowest >= 0
    assert watching.highest <= 1


class Counting(Watching):
    """And how many images it was asked about."""

    asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return super().forward(images)


def test_square_finds_what_it_finds_one_proposal_after_the_other_and_asks_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, labels = some_images(40).batch(torch.arange(40))

    def search(rows_at_once: int) -> tuple[list[bool], int]:
        network, standing = Counting(), Standing(40, images.device)
        square = Square(network, norm="linf", radius=0.2, queries=1500, rows_at_once=rows_at_once)
        rows = Rows(torch.arange(40), images, labels)
        for _ in square.search(rows, standing, torch.Generator().manual_seed(0)):
            pass
        return standing.broken_B.tolist(), network.asked

    many, one = search(160), search(1)
    monkeypatch.setattr(Proposals, "alike", lambda self: torch.full((1500,), -1))
    asking_all = search(1)
    assert many[0] == one[0] == asking_all[0]
    assert 0 < sum(many[0]) < 40
    assert one[1] < many[1] < 0.8 * asking_all[1]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_proposal_that_was_made_before_is_known_by_all_that_makes_it(norm: Any) -> None:
    images, generator = torch.rand(2, 1, 6, 6), torch.Generator().manual_seed(0)
    it = Proposals(images, norm, 0.1, 3000, generator)
    queries, found = torch.arange(3000), torch.rand(1, 1, 6, 6).expand(3000, -1, -1, -1)
    repeated = (it.alike_Q >= 0).nonzero().flatten()
    assert len(repeated) > 100
    made = it.at(queries, images[:1].expand(3000, -1, -1, -1), found)
    assert torch.equal(made[repeated], made[it.alike_Q[repeated]])
    assert (it.alike_Q < queries).all()


def test_squares_shrink_by_the_schedule_of_10000_queries_whatever_their_number() -> None:
    assert side_of(0, 32, 32, "linf") == round((0.8 * 1024) ** 0.5)
    assert side_of(HALVINGS[0] + 1, 32, 32, "linf") == round((0.4 * 1024) ** 0.5)
    assert side_of(9000, 8, 8, "linf") == 1
    assert side_of(9000, 32, 32, "l2") == 3
    assert pattern(5, torch.device("cpu")).square().sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("project", [onto_plane_linf, onto_plane_l2])
def test_moves_onto_a_plane_end_on_it_inside_the_box_if_that_is_possible(project: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    points, normals = (
        torch.rand(200, 16, generator=generator),
        torch.randn(200, 16, generator=generator),
    )
    offsets = (normals * torch.rand(200, 16, generator=generator)).sum(
        dim=1
    )  # a point of the box is on each plane
    moves = project(points, normals, offsets)
    ended = points + moves
    assert ended.min() >= -1e-6
    assert ended.max() <= 1 + 1e-6
    torch.testing.assert_close((normals * ended).sum(dim=1), offsets, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-20, 1e10])
def test_the_scale_of_a_gradient_does_not_matter_to_the_move(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    points, normals = (
        torch.rand(50, 16, generator=generator),
        torch.randn(50, 16, generator=generator),
    )
    offsets = (normals * torch.rand(50, 16, generator=generator)).sum(dim=1)
    expected = onto_plane_linf(points, normals, offsets)
    torch.testing.assert_close(
        onto_plane_linf(points, normals * scale, offsets * scale), expected, atol=1e-5, rtol=1e-4
    )


def test_from_where_the_plane_is_out_of_reach_every_pixel_goes_to_its_end() -> None:
    points, normals = torch.tensor([[0.5, 0.9, 0.3]]), torch.tensor([[1.0, -3.0, 0.0]])
    for project in (onto_plane_linf, onto_plane_l2):
        torch.testing.assert_close(
            project(points, normals, torch.tensor([50.0]))[:, :2], torch.tensor([[0.5, -0.9]])
        )


def test_by_hand_the_shortest_moves_onto_a_plane() -> None:
    points, normals, offsets = (
        torch.tensor([[0.5, 0.9]]),
        torch.tensor([[1.0, 3.0]]),
        torch.tensor([3.6]),
    )
    # Gap 0.4: in L-infinity both would move by 0.1, just what the second has left; in L2 by (0.04, 0.12), the second at most 0.1.
    torch.testing.assert_close(
        onto_plane_linf(points, normals, offsets), torch.tensor([[0.1, 0.1]])
    )
    torch.testing.assert_close(onto_plane_l2(points, normals, offsets), torch.tensor([[0.1, 0.1]]))
    torch.testing.assert_close(
        onto_plane_l2(points, normals, torch.tensor([3.3])), torch.tensor([[0.01, 0.03]])
    )
