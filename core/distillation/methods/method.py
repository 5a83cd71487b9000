"""What a method is: what the adversary climbs, and what the student descends."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.forward import NetworkOutput, Precision, forward
from core.distillation.models.network import Classifier
from core.distillation.statistics.divergences import kl
from core.jobspec.base import Spec


@dataclass(frozen=True)
class TrainingPosition:
    """Where in the training a batch is: for methods that change with time."""

    step: int = 0
    """Of all, from 0."""
    steps_per_epoch: int = 1
    epochs: int = 1

    @property
    def epoch(self) -> int:
        """From 0."""
        return self.step // self.steps_per_epoch


@dataclass(frozen=True)
class Batch:
    """Clean images [B, C, H, W] in [0, 1], their labels [B], and what the teacher says of them, asked once a batch."""

    images_BCHW: Tensor
    labels_B: Tensor
    teacher: NetworkOutput | None = None
    position: TrainingPosition = field(default_factory=TrainingPosition)


@dataclass(frozen=True)
class LossTerm:
    """One term of the loss: a scalar, and the weight it has in the sum."""

    weight: float
    value: Tensor


@dataclass(frozen=True)
class MethodLoss:
    """The loss by its terms, and figures worth watching that are no part of it."""

    terms: dict[str, LossTerm]
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        return torch.stack([term.weight * term.value for term in self.terms.values()]).sum()


class Method(ABC):
    """One method, with its settings, at work on one student. ``heads`` holds whatever it trains beside the student."""

    settings: Spec

    def __init__(self, settings: Spec, student: Classifier, precision: Precision = "fp32") -> None:
        self.settings, self.student = settings, student
        self.heads = nn.ModuleDict()
        self.precision = precision

    @property
    def networks(self) -> list[Classifier]:
        """Whatever it asks in a step."""
        return [self.student]

    def prepare_batch(self, images_BCHW: Tensor, labels_B: Tensor, when: TrainingPosition | None = None) -> Batch:
        """Whatever is constant over the batch's whole step. A method may change the images: the adversary gets the batch's."""
        return Batch(images_BCHW, labels_B, position=when or TrainingPosition())

    @abstractmethod
    def inner(self, batch: Batch) -> Objective:
        """What the adversary climbs, per example. Called with the student in the mode of the attack."""

    @abstractmethod
    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """What the student descends. Called with the student in train mode."""

    def student_output(self, images_BCHW: Tensor) -> NetworkOutput:
        """The student's view."""
        return forward(self.student, images_BCHW, self.precision)

    def cross_entropy_to_labels(self, batch: Batch) -> Objective:
        """CE(s(x^), y)."""
        return lambda adversarial: cross_entropy(
            self.student_output(adversarial).logits_BK, batch.labels_B, reduction="none"
        )


class DistillationMethod(Method):
    """A method with a frozen teacher, in eval mode throughout."""

    def __init__(
        self,
        settings: Spec,
        student: Classifier,
        teacher: Classifier,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(settings, student, precision)
        self.teacher = teacher.eval().requires_grad_(False)

    @property
    def networks(self) -> list[Classifier]:
        return [self.student, self.teacher]

    def prepare_batch(self, images_BCHW: Tensor, labels_B: Tensor, when: TrainingPosition | None = None) -> Batch:
        return Batch(images_BCHW, labels_B, self.teacher_output(images_BCHW), when or TrainingPosition())

    def teacher_output(self, images_BCHW: Tensor) -> NetworkOutput:
        """The teacher's view, a constant."""
        with torch.no_grad():
            return forward(self.teacher, images_BCHW, self.precision)

    def kl_to_clean_teacher(self, batch: Batch) -> Objective:
        """KL(p_t(x) || p_s(x^)), the teacher's clean prediction a constant."""
        assert batch.teacher is not None
        target_BK = batch.teacher.logits_BK
        return lambda adversarial: kl(target_BK, self.student_output(adversarial).logits_BK)

    def kl_to_adaptive_teacher(self, batch: Batch) -> Objective:
        """KL(p_t(x^) || p_s(x^)), climbed through both networks."""
        return lambda adversarial: kl(
            forward(self.teacher, adversarial, self.precision).logits_BK,
            self.student_output(adversarial).logits_BK,
        )
