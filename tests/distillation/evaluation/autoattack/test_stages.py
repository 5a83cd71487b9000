"""What each stage runs: which attack, on which rows, with which targets; and what it leaves.

B images of the batch, R rows, K classes.
"""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.distillation import seeds
from core.distillation.data.images import Images
from core.distillation.evaluation import Finding, Step
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.autoattack.apgd import Apgd
from core.distillation.evaluation.autoattack.fab import Fab
from core.distillation.evaluation.autoattack.losses import (
    cross_entropy,
    targeted_dlr,
    targeted_margin,
)
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows
from core.distillation.evaluation.autoattack.square import Square
from core.distillation.evaluation.autoattack.stages import StageSearch
from core.distillation.evaluation.autoattack.state import State
from core.jobspec.evaluation import STANDARD_STAGES, Stage
from core.jobspec.resolved import ResolvedAutoAttack
from tests.distillation.evaluation.builders import FlatClassifier, target

SETTINGS = ResolvedAutoAttack(norm="l2", radius=0.3, iterations=17, queries=23)


class ByBrightness(nn.Module):
    """Ten logits per image: class k has k x brightness, so that dark images rank in reverse."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return images_BCHW.flatten(1)[:, :1] * torch.arange(self.classes)


Call = tuple[list[int], list[int]]
"""Image index and target of each row."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Record the rows of each targeted search, which misclassifies what it is told to."""
    recorded: list[Call] = []

    def search(
        self: object,
        rows: Rows,
        targets_R: Tensor,
        robustness: BatchRobustness,
        generator: object = None,
    ) -> Iterator[None]:
        recorded.append((rows.image_index_R.tolist(), targets_R.tolist()))
        if len(recorded) == 2:
            robustness.misclassified_B[1:] = True
        yield

    monkeypatch.setattr(Apgd, "search", search)
    monkeypatch.setattr(Fab, "search", search)
    return recorded


def run_stage(stage: Stage, classes: int, images: list[float], batch_size: int) -> None:
    images_BCHW = torch.tensor(images)[:, None, None, None]
    stage_search = StageSearch(ByBrightness(classes), SETTINGS, classes, batch_size)
    labels_B = torch.full((len(images),), classes - 1)
    robustness = BatchRobustness(len(images), torch.device("cpu"))
    generator = torch.Generator()
    for _ in stage_search.search(stage, images_BCHW, labels_B, robustness, generator):
        pass


@pytest.mark.parametrize("stage", ["apgd-t", "fab-t"])
def test_targets_are_the_classes_after_the_first_one_by_one(
    stage: Stage, calls: list[Call]
) -> None:
    """The second image is misclassified by the second target, and gets no third."""
    run_stage(stage, 5, [0.5, 0.6], batch_size=2)
    assert calls == [
        ([0, 1], [3, 3]),
        ([0, 1], [2, 2]),
        # One image remains, so two targets fit into a batch.
        ([0, 0], [1, 0]),
    ]


def test_each_image_has_its_own_order_of_targets(calls: list[Call]) -> None:
    run_stage("fab-t", 4, [0.5, -0.5], batch_size=6)
    # The second image is most likely of class 0, then 1, 2, 3: three targets fit at once.
    assert calls == [([0, 1] * 3, [2, 1, 1, 2, 0, 3])]


def test_at_most_nine_targets_are_attacked(calls: list[Call]) -> None:
    run_stage("apgd-t", 12, [0.5], batch_size=4)
    assert [targets for _, targets in calls] == [[10, 9, 8, 7], [6, 5, 4, 3], [2]]


def test_batch_larger_than_needed_holds_every_target_once(calls: list[Call]) -> None:
    run_stage("apgd-t", 3, [0.5], batch_size=100)
    assert calls == [([0, 0], [1, 0])]


@pytest.mark.parametrize(
    ("stage", "classes", "loss"),
    [
        ("apgd-ce", 10, cross_entropy),
        ("apgd-ce", 3, cross_entropy),
        ("apgd-t", 4, targeted_dlr),
        ("apgd-t", 3, targeted_margin),
        ("apgd-t", 2, targeted_margin),
    ],
)
def test_loss_of_each_stage(
    stage: Stage, classes: int, loss: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[object] = []

    def search(self: Apgd, *arguments: object) -> Iterator[None]:
        losses.append(self.loss)
        assert (self.norm, self.radius, self.iterations) == ("l2", 0.3, 17)
        yield

    monkeypatch.setattr(Apgd, "search", search)
    run_stage(stage, classes, [0.5], batch_size=100)
    assert losses == [loss]


def test_every_attack_has_the_settings_of_the_suite() -> None:
    network = ByBrightness(5)
    stage_search = StageSearch(network, SETTINGS, 5, batch_size=3)
    fab = stage_search.fab()
    square = stage_search.square()
    assert (fab.network, fab.norm, fab.radius, fab.iterations) == (network, "l2", 0.3, 17)
    assert (square.network, square.norm, square.radius, square.queries) == (network, "l2", 0.3, 23)
    assert square.rows_at_once == 12


def test_untargeted_stages_attack_each_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    attacked: list[tuple[str, list[int]]] = []

    def apgd(self: Apgd, rows: Rows, *arguments: object) -> Iterator[None]:
        attacked.append(("apgd", rows.image_index_R.tolist()))
        yield

    def square(self: Square, rows: Rows, *arguments: object) -> Iterator[None]:
        attacked.append(("square", rows.image_index_R.tolist()))
        yield

    monkeypatch.setattr(Apgd, "search", apgd)
    monkeypatch.setattr(Square, "search", square)
    run_stage("apgd-ce", 5, [0.5, 0.6], batch_size=2)
    run_stage("square", 5, [0.5, 0.6], batch_size=2)
    assert attacked == [("apgd", [0, 1]), ("square", [0, 1])]


@pytest.mark.parametrize(
    ("classes", "stages", "notes"),
    [
        (10, STANDARD_STAGES, []),
        (9, STANDARD_STAGES, ["9 classes: 8 targets instead of 9."]),
        (9, ("apgd-ce", "square"), []),
        (4, ("fab-t",), ["4 classes: 3 targets instead of 9."]),
        (3, ("fab-t",), ["3 classes: 2 targets instead of 9."]),
        (
            3,
            ("apgd-t",),
            [
                "3 classes: 2 targets instead of 9.",
                "3 classes: APGD-T ascends the targeted margin, as the DLR loss needs four "
                "classes.",
            ],
        ),
    ],
)
def test_few_classes_are_noted(classes: int, stages: Any, notes: list[str]) -> None:
    settings = ResolvedAutoAttack(radius=0.1, stages=stages)
    assert StageSearch(nn.Identity(), settings, classes, batch_size=1).notes() == notes


# -- the suite


class EvenAreZero(FlatClassifier):
    """Class 0 where the first pixel is an even byte, else class 1; NaN at 250 and above."""

    def classify(self, features_BD: Tensor) -> Tensor:
        byte_B = (features_BD[:, 0] * 255).round()
        odd_B = byte_B % 2
        logits_BK = torch.stack([1 - odd_B, odd_B], dim=1)
        return torch.where(byte_B[:, None] >= 250, torch.nan, logits_BK)


def numbered_images(labels: list[int], bytes_: list[int] | None = None) -> Images:
    values = torch.tensor(bytes_ or list(range(len(labels))), dtype=torch.uint8)
    images_NCHW = values[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    return Images(images_NCHW, torch.tensor(labels))


@pytest.fixture
def broken_by(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """Numbers of the images that each stage misclassifies, in place of the attacks."""
    broken: dict[str, set[int]] = {}

    def search(
        self: StageSearch,
        stage: Stage,
        images_BCHW: Tensor,
        labels_B: Tensor,
        robustness: BatchRobustness,
        generator: torch.Generator,
    ) -> Iterator[None]:
        numbers = (images_BCHW[:, 0, 0, 0] * 255).round().int().tolist()
        assert (labels_B == torch.tensor(numbers) % 2).all()
        batches.append((stage, numbers, generator.initial_seed()))
        hits_B = torch.tensor([number in broken[stage] for number in numbers])
        robustness.misclassified_B |= hits_B
        robustness.non_finite_B |= hits_B & (torch.tensor(numbers) == 7)
        yield

    batches: list[tuple[str, list[int], int]] = []
    broken["batches"] = batches  # type: ignore[assignment]
    monkeypatch.setattr(StageSearch, "search", search)
    return broken


def run_suite(stages: tuple[Stage, ...]) -> list[Step | Finding]:
    """Attack ten images in batches of four; number 2 is misclassified when clean."""
    labels = [number % 2 for number in range(10)]
    labels[2] = 1
    settings = ResolvedAutoAttack(radius=0.1, stages=stages)
    evaluated = target(EvenAreZero(), numbered_images(labels), classes=2, batch_size=4, seed=6)
    return list(autoattack(evaluated, settings))


def test_each_stage_gets_the_images_that_are_still_robust(broken_by: dict[str, Any]) -> None:
    broken_by.update({"square": {0, 7}, "fab-t": {4}})
    *_, finding = run_suite(("square", "fab-t"))
    assert broken_by["batches"] == [
        ("square", [0, 1, 3, 4], seeds.derive(6, "autoattack", "square", 0)),
        ("square", [5, 6, 7, 8], seeds.derive(6, "autoattack", "square", 1)),
        ("square", [9], seeds.derive(6, "autoattack", "square", 2)),
        ("fab-t", [1, 3, 4, 5], seeds.derive(6, "autoattack", "fab-t", 0)),
        ("fab-t", [6, 8, 9], seeds.derive(6, "autoattack", "fab-t", 1)),
    ]
    assert isinstance(finding, Finding)
    assert finding.value == pytest.approx(0.6)
    assert finding.data["clean"] == pytest.approx(0.9)
    assert finding.data["non_finite"] == 1
    stages = finding.data["stages"]
    assert [(name, stage["standing"], stage["broken"]) for name, stage in stages.items()] == [
        ("square", pytest.approx(0.7), 2),
        ("fab-t", pytest.approx(0.6), 1),
    ]
    mask = np.unpackbits(np.frombuffer(base64.b64decode(finding.data["standing"]), np.uint8))
    assert mask[:10].nonzero()[0].tolist() == [1, 3, 5, 6, 8, 9]
    assert finding.data["settings"]["stages"] == ["square", "fab-t"]
    # Of the classes' five images each, 6 and 8, and 1, 3, 5 and 9; image 2 counts as class 1.
    assert finding.data["per_class"] == [2 / 4, 4 / 6]


def test_clean_pass_and_each_stage_count_a_thousand_units(
    broken_by: dict[str, Any],
) -> None:
    broken_by.update({"square": {0, 7}, "fab-t": {4}})
    steps = [step for step in run_suite(("square", "fab-t")) if isinstance(step, Step)]
    assert {step.total for step in steps} == {3000}
    # Four of ten, eight, ten; then twice after each batch, of 9 and then of 7 images.
    clean = [400, 800, 1000]
    square = [1000, 1444, 1444, 1889, 1889, 2000]
    fab = [2000, 2571, 2571, 3000]
    assert [step.completed for step in steps] == clean + square + fab


def test_stage_that_leaves_no_image_ends_the_search(broken_by: dict[str, Any]) -> None:
    broken_by.update({"square": set(range(10)), "fab-t": set()})
    *_, finding = run_suite(("square", "fab-t"))
    assert isinstance(finding, Finding)
    assert [stage for stage, _, _ in broken_by["batches"]] == ["square"] * 3
    assert finding.value == 0
    assert finding.data["stages"]["fab-t"]["broken"] == 0


def test_images_with_non_finite_logits_are_counted_once(broken_by: dict[str, Any]) -> None:
    """When clean, or under attack: neither is robust."""
    broken_by.update({"square": {7}, "fab-t": set()})
    images = numbered_images([1, 0, 1], [7, 250, 9])
    settings = ResolvedAutoAttack(radius=0.1, stages=("square", "fab-t"))
    evaluated = target(EvenAreZero(), images, classes=2, batch_size=2)
    *_, finding = autoattack(evaluated, settings)
    assert isinstance(finding, Finding)
    assert finding.data["clean"] == pytest.approx(2 / 3)
    assert finding.value == pytest.approx(1 / 3)
    assert finding.data["non_finite"] == 2


def test_state_of_a_finished_stage_by_hand() -> None:
    state = State(robust="0110", entrants="1110", stage=1, batch=3, seconds=1.23456)
    state.finish_stage(1, "square")
    assert state.stages == {"square": {"standing": 0.5, "broken": 1, "seconds": 1.235}}
    assert (state.stage, state.batch, state.seconds) == (2, 0, 0.0)
    assert state.entrants == state.robust == "0110"
    assert State.from_json(state.to_json()) == state
    clean = State(robust="0111")
    clean.finish_clean_pass()
    assert (clean.clean, clean.stage, clean.entrants) == (0.75, 0, "0111")
