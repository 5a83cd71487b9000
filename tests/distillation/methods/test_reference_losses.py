"""The size of a loss by `preset: reference` is that of its authors' code, at 10 and 100 classes."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, softmax

from core.distillation.methods import TrainingPosition, build
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.statistics.divergences import reduce_divergence
from core.jobspec.defaults import resolve
from core.jobspec.job import parse_submitted
from tests.builders import dataset_description
from tests.distillation.methods.plain import probabilities


def network(classes: int, width: int, seed: int) -> SmallCnn:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small_cnn = SmallCnn(classes, width=width, channels=1)
    with torch.no_grad():
        small_cnn.linear.weight.mul_(8)
    return small_cnn


def entry_mean(target: Tensor, prediction: Tensor) -> Tensor:
    """Mean over images AND classes of p ln(p / q): torch's KLDivLoss in its default."""
    p = softmax(target, dim=1)
    return (p * (p.log() - log_softmax(prediction, dim=1))).mean()


def image_mean(target: Tensor, prediction: Tensor) -> Tensor:
    """Mean over images of the sum over classes of p ln(p / q)."""
    p = softmax(target, dim=1)
    return (p * (p.log() - log_softmax(prediction, dim=1))).sum() / len(p)


class Case:
    """A student and a teacher for so many classes, and their logits in train and eval mode."""

    def __init__(self, classes: int, images: Tensor, adversarial: Tensor) -> None:
        self.classes = classes
        self.images = images
        self.adversarial = adversarial
        self.labels = torch.arange(len(images)) * 7 % classes
        self.student = network(classes, 2, seed=1)
        self.teacher = network(classes, 3, seed=2).eval()
        with torch.no_grad():
            self.clean = self.student(images)
            self.attacked = self.student(adversarial)
            self.teacher_clean = self.teacher(images)
            self.teacher_attacked = self.teacher(adversarial)

    def reference_loss(self, method: str, epoch: int = 0, **changes: Any) -> float:
        """Return the total loss of the job by the preset for a data set of so many classes."""
        body = {
            "kind": "distillation",
            "teacher": "t",
            "student": {"architecture": "small_cnn"},
            "data": {"dataset": "any"},
            "preset": "reference",
            "method": {"name": method},
            **changes,
        }
        spec: Any = resolve(parse_submitted(body), dataset_description(classes=self.classes))
        position = TrainingPosition(step=epoch, steps_per_epoch=1, epochs=spec.schedule.epochs)
        applied = build(spec.method, self.student, self.teacher, igdm=spec.igdm)
        batch = applied.prepare_batch(self.images, self.labels, position)
        return applied.outer(batch, self.adversarial).total.item()


@pytest.fixture(params=[10, 100], ids=["10_classes", "100_classes"])
def case(request: pytest.FixtureRequest, images: Tensor, adversarial: Tensor) -> Case:
    return Case(request.param, images, adversarial)


def test_rslad_is_a_tenth_of_the_batch_mean(case: Case) -> None:
    """On 100 classes its code multiplies the mean over all entries by 10."""
    factor = {10: 1, 100: 10}[case.classes]
    attacked = factor * entry_mean(case.teacher_clean, case.attacked)
    clean = factor * entry_mean(case.teacher_clean, case.clean)
    expected = (5 / 6 * attacked + 1 / 6 * clean).item()
    loss = case.reference_loss("rslad")
    assert loss == pytest.approx(expected, rel=1e-5)
    by_image = 5 / 6 * image_mean(case.teacher_clean, case.attacked)
    by_image = by_image + 1 / 6 * image_mean(case.teacher_clean, case.clean)
    assert loss == pytest.approx(by_image.item() / 10, rel=1e-5)


def test_adaad_is_the_batch_mean_on_100_classes(case: Case) -> None:
    mean = {10: entry_mean, 100: image_mean}[case.classes]
    expected = mean(case.teacher_attacked, case.attacked).item()
    assert case.reference_loss("adaad") == pytest.approx(expected, rel=1e-5)


def test_ard_is_the_mean_over_all_entries(case: Case) -> None:
    """T^2 = 900 times the mean over images and classes, whatever the number of classes."""
    softened = entry_mean(case.teacher_clean / 30, case.attacked / 30).item()
    assert case.reference_loss("ard") == pytest.approx(900 * softened, rel=1e-4)


def test_iad_is_the_batch_mean(case: Case) -> None:
    """From epoch 60 on, of 200 from 0, with introspection by 1 - p_t(y | x^)^0.1."""
    distillation = image_mean(case.teacher_clean, case.attacked).item()
    assert case.reference_loss("iad", epoch=59) == pytest.approx(distillation, rel=1e-5)
    teacher = probabilities(case.teacher_attacked)
    trust = teacher[torch.arange(6), case.labels] ** 0.1
    own = softmax(case.clean, dim=1)
    own_kl = (own * (own.log() - log_softmax(case.attacked, dim=1))).sum(1)
    introspection = ((1 - trust) * own_kl).mean().item()
    expected = distillation + introspection
    assert case.reference_loss("iad", epoch=60) == pytest.approx(expected, rel=1e-5)


def test_akd_and_arkd_do_not_depend_on_classes(case: Case) -> None:
    target = softmax(case.teacher_attacked, dim=1) / 2
    target[torch.arange(6), case.labels] += 0.5
    akd = cross_entropy(case.attacked, target).item()
    assert case.reference_loss("akd") == pytest.approx(akd, rel=1e-5)
    arkd = 0.2 * image_mean(case.teacher_clean, case.clean)
    arkd = arkd + 0.8 * image_mean(case.teacher_attacked, case.attacked)
    assert case.reference_loss("arkd") == pytest.approx(arkd.item(), rel=1e-5)


def test_igdm_beside_adaad_weighs_ten_times_on_100_classes(case: Case) -> None:
    """AdaAD by the batch mean + weight (epoch / 200) KL of changes, epoch 50 of 200 from 1."""
    behind = case.images - (case.adversarial - case.images)
    with torch.no_grad():
        change = case.attacked - case.student(behind)
        teacher_change = case.teacher_attacked - case.teacher(behind)
    weight = {10: 1, 100: 10}[case.classes]
    adaad = image_mean(case.teacher_attacked, case.attacked)
    expected = adaad + weight * 50 / 200 * image_mean(teacher_change, change)
    loss = case.reference_loss("adaad", epoch=49, igdm={})
    assert loss == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("reduction", "classes", "expected"),
    [
        ("batch_mean", 10, 3.0),
        ("batch_mean", 100, 3.0),
        ("mean", 10, 0.3),
        ("mean", 100, 0.03),
        ("batch_mean_over_10", 10, 0.3),
        ("batch_mean_over_10", 100, 0.3),
        ("batch_mean_over_10", 2, 0.3),
    ],
)
def test_reductions_by_hand(reduction: Any, classes: int, expected: float) -> None:
    divergence_B = torch.tensor([1.0, 2.0, 6.0])
    value = reduce_divergence(divergence_B, reduction, classes=classes)
    assert value.item() == pytest.approx(expected)
