"""Passes of student and teacher in a training step: how many, in which order, what they move."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.methods import Method, MethodLoss, TrainingPosition, build
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.defaults import resolve_starship
from core.jobspec.resolved import ResolvedIadSettings, ResolvedMethodSettings
from core.jobspec.training import methods as spec
from core.jobspec.training.starship import StarshipSettings
from tests.distillation.methods.plain import backward, gradients

STARSHIP = resolve_starship(StarshipSettings(), student_features=8)


@dataclass
class Recorder:
    """The images that pass through a network, by the names that ``names`` has for them."""

    network: SmallCnn
    names: dict[str, Tensor]
    passes: list[str] = field(default_factory=list)

    def __enter__(self) -> "Recorder":
        features = self.network.features

        def record(images: Tensor) -> Tensor:
            matches = [name for name, known in self.names.items() if torch.equal(images, known)]
            self.passes.append(matches[0] if matches else "other")
            return features(images)

        self.network.__dict__["features"] = record
        return self

    def __exit__(self, *error: object) -> None:
        del self.network.__dict__["features"]


@dataclass
class Step:
    """One training step's loss, and the passes that it took."""

    loss: MethodLoss
    student: list[str]
    teacher: list[str]


Run = Callable[..., Step]


@pytest.fixture
def run(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> Run:
    """Take the passes of a step, in train mode, but for those of the adversary."""

    def take(settings: ResolvedMethodSettings, igdm: Any = None, epoch: int = 0) -> Step:
        with_teacher = settings.name in TEACHER_METHODS
        method: Method[Any] = build(settings, student, teacher if with_teacher else None, igdm=igdm)
        names = {"clean": images, "adversarial": adversarial}
        position = TrainingPosition(step=epoch, steps_per_epoch=1, epochs=10)
        student.train()
        with Recorder(student, names) as of_student, Recorder(teacher, names) as of_teacher:
            batch = method.prepare_batch(images, labels, position)
            loss = method.outer(batch, adversarial)
        return Step(loss, of_student.passes, of_teacher.passes)

    return take


TEACHER_METHODS = ("starship", "arkd", "ard", "iad", "rslad", "akd", "adaad")

CLEAN = "clean"
ADVERSARIAL = "adversarial"
STUDENT_PASSES: list[tuple[Any, int, list[str]]] = [
    (STARSHIP, 0, [CLEAN, ADVERSARIAL]),
    (spec.ArkdSettings(), 0, [CLEAN, ADVERSARIAL]),
    (spec.RsladSettings(), 0, [ADVERSARIAL, CLEAN]),
    (spec.AkdSettings(), 0, [ADVERSARIAL]),
    (spec.ArdSettings(), 0, [ADVERSARIAL]),
    (spec.ArdSettings(statistics_passes=True), 0, [ADVERSARIAL, CLEAN]),
    (spec.ArdSettings(alpha=0.5), 0, [ADVERSARIAL, CLEAN]),
    (spec.ArdSettings(alpha=0.5, statistics_passes=True), 0, [ADVERSARIAL, CLEAN]),
    (spec.AdaAdSettings(), 0, [ADVERSARIAL]),
    (spec.AdaAdSettings(statistics_passes=True), 0, [CLEAN, ADVERSARIAL]),
    (spec.AdaAdSettings(alpha=0.5), 0, [CLEAN, ADVERSARIAL]),
    (spec.AdaAdSettings(alpha=0.5, statistics_passes=True), 0, [CLEAN, ADVERSARIAL]),
    (ResolvedIadSettings(begin=3), 2, [ADVERSARIAL]),
    (ResolvedIadSettings(begin=3), 3, [ADVERSARIAL, CLEAN]),
    (
        ResolvedIadSettings(begin=3, statistics_passes=True),
        2,
        [ADVERSARIAL, ADVERSARIAL, CLEAN],
    ),
    (
        ResolvedIadSettings(begin=3, statistics_passes=True),
        3,
        [ADVERSARIAL, ADVERSARIAL, CLEAN, CLEAN],
    ),
]
"""Settings, epoch, and the student's passes in the order of the authors' code."""


@pytest.mark.parametrize(("settings", "epoch", "passes"), STUDENT_PASSES, ids=str)
def test_passes_of_the_student_and_their_order(
    settings: Any, epoch: int, passes: list[str], run: Run
) -> None:
    assert run(settings, epoch=epoch).student == passes


@pytest.mark.parametrize(("settings", "epoch", "passes"), STUDENT_PASSES, ids=str)
def test_each_pass_moves_running_statistics_once(
    settings: Any,
    epoch: int,
    passes: list[str],
    run: Run,
    student: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
) -> None:
    """The running mean is 0.9 of itself + 0.1 of the batch's, pass by pass."""
    mean = student.bn1.running_mean
    assert mean is not None
    expected = mean.clone()
    batch_mean = {
        name: student.conv1(batch).mean(dim=(0, 2, 3)).detach()
        for name, batch in {CLEAN: images, ADVERSARIAL: adversarial}.items()
    }
    run(settings, epoch=epoch)
    for name in passes:
        expected = 0.9 * expected + 0.1 * batch_mean[name]
    assert student.bn1.num_batches_tracked == len(passes)
    torch.testing.assert_close(mean, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("plain", "with_passes"),
    [
        (spec.ArdSettings(), spec.ArdSettings(statistics_passes=True)),
        (spec.AdaAdSettings(), spec.AdaAdSettings(statistics_passes=True)),
        (
            ResolvedIadSettings(begin=0),
            ResolvedIadSettings(begin=0, statistics_passes=True),
        ),
        (
            ResolvedIadSettings(begin=1),
            ResolvedIadSettings(begin=1, statistics_passes=True),
        ),
    ],
    ids=["ard", "adaad", "iad", "iad_before_begin"],
)
def test_statistics_passes_change_no_loss_and_no_gradient(
    plain: Any, with_passes: Any, run: Run, student: SmallCnn
) -> None:
    losses = []
    for settings in (plain, with_passes):
        student.zero_grad()
        loss = run(settings).loss.total
        backward(loss)
        losses.append((loss.item(), gradients(student)))
    (first, first_gradients), (second, second_gradients) = losses
    assert first == second
    assert first_gradients.keys() == second_gradients.keys()
    assert all(torch.equal(g, second_gradients[name]) for name, g in first_gradients.items())


def test_statistics_passes_are_off_by_default() -> None:
    for settings in (spec.ArdSettings(), spec.IadSettings(), spec.AdaAdSettings()):
        assert settings.statistics_passes is False


# -- costs


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        (STARSHIP, 4),
        (spec.ArkdSettings(), 4),
        (spec.RsladSettings(), 3),
        (spec.AkdSettings(), 3),
        (spec.ArdSettings(), 2),
        (spec.ArdSettings(statistics_passes=True), 3),
        (spec.ArdSettings(alpha=0.9), 3),
        (spec.ArdSettings(alpha=0.9, statistics_passes=True), 3),
        (spec.AdaAdSettings(), 3),
        (spec.AdaAdSettings(statistics_passes=True), 4),
        (spec.AdaAdSettings(alpha=0.9), 4),
        (ResolvedIadSettings(begin=0), 4),
        (ResolvedIadSettings(begin=0, statistics_passes=True), 6),
    ],
    ids=str,
)
def test_declared_passes_are_those_of_the_loss(settings: Any, passes: int, run: Run) -> None:
    step = run(settings)
    assert settings.loss_passes == passes
    assert len(step.student) + len(step.teacher) == passes


@pytest.mark.parametrize(
    ("forward", "backward_scale", "declared"),
    [(1.0, 1.0, 3), (1.0, 0.0, 2), (0.5, 1.0, 4), (0.5, 0.0, 3)],
)
@pytest.mark.parametrize(
    "settings",
    [
        STARSHIP,
        spec.ArkdSettings(),
        spec.RsladSettings(),
        spec.AkdSettings(),
        spec.ArdSettings(),
        spec.AdaAdSettings(),
        ResolvedIadSettings(begin=0),
        ResolvedIadSettings(begin=1),
    ],
    ids=lambda settings: settings.name,
)
def test_igdm_repeats_no_pass(
    settings: Any, forward: float, backward_scale: float, declared: int, run: Run
) -> None:
    """It passes no image through a network through which the method has already passed it."""
    igdm = spec.IgdmSettings(forward=forward, backward=backward_scale)
    alone = run(settings)
    both = run(settings, igdm=igdm)
    needed = [
        "adversarial" if forward == 1 else "other",
        "clean" if backward_scale == 0 else "other",
    ]
    for before, after in ((alone.student, both.student), (alone.teacher, both.teacher)):
        missing = [name for name in needed if name == "other" or name not in before]
        assert after == before + missing
    added = len(both.student) + len(both.teacher) - len(alone.student) - len(alone.teacher)
    assert igdm.loss_passes == declared
    assert added <= declared


@pytest.mark.parametrize(
    ("settings", "with_clean", "with_teacher"),
    [
        (STARSHIP, True, True),
        (spec.ArkdSettings(), True, True),
        (spec.RsladSettings(), True, False),
        (spec.AkdSettings(), False, True),
        (spec.ArdSettings(), False, False),
        (spec.ArdSettings(statistics_passes=True), False, False),
        (spec.ArdSettings(alpha=0.5), True, False),
        (spec.AdaAdSettings(), False, True),
        (spec.AdaAdSettings(statistics_passes=True), False, True),
        (spec.AdaAdSettings(alpha=0.5), True, True),
        (ResolvedIadSettings(begin=1), False, False),
        (ResolvedIadSettings(begin=0), True, True),
    ],
    ids=str,
)
def test_outputs_that_a_loss_hands_on(
    settings: Any,
    with_clean: bool,
    with_teacher: bool,
    run: Run,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
) -> None:
    """They are the student's in train mode and the teacher's in eval mode, of the right images."""
    outputs = run(settings).loss.outputs
    with torch.no_grad():
        clean = student(images)
        attacked = student(adversarial)
        teacher_attacked = teacher(adversarial)
    assert outputs.student_adversarial is not None
    torch.testing.assert_close(outputs.student_adversarial.logits_BK, attacked)
    assert (outputs.student_clean is not None) is with_clean
    if outputs.student_clean is not None:
        torch.testing.assert_close(outputs.student_clean.logits_BK, clean)
    assert (outputs.teacher_adversarial is not None) is with_teacher
    if outputs.teacher_adversarial is not None:
        torch.testing.assert_close(outputs.teacher_adversarial.logits_BK, teacher_attacked)
