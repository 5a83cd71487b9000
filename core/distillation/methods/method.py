"""A method: the objective that the adversary maximizes, the loss that the student minimizes.

In the min-max problem of adversarial training, ``inner`` is the maximization over images and
``outer`` the minimization over the student's weights.
B batch size, C H W channels, height and width of an image, D features, K classes.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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
    """Where in the training a batch is, for methods that change over time."""

    step: int = 0
    """Index of the step within the whole training, from 0."""
    steps_per_epoch: int = 1
    epochs: int = 1

    @property
    def epoch(self) -> int:
        """Index of the epoch, from 0."""
        return self.step // self.steps_per_epoch


FIRST_STEP = TrainingPosition()


@dataclass(frozen=True)
class Batch:
    """Clean images [B, C, H, W] in [0, 1] and their labels [B]."""

    images_BCHW: Tensor
    labels_B: Tensor
    position: TrainingPosition


@dataclass(frozen=True)
class TeacherBatch(Batch):
    """A batch with the teacher's output for the clean images, computed once and used all step."""

    teacher: NetworkOutput


@dataclass(frozen=True)
class OutputPair:
    """One network's outputs for the clean and for the adversarial images of a batch."""

    clean: NetworkOutput
    adversarial: NetworkOutput


@dataclass(frozen=True)
class LossTerm:
    """One term of the loss: a scalar, and its weight in the sum."""

    weight: float
    value: Tensor


@dataclass(frozen=True)
class LossOutputs:
    """What a loss has computed of the networks' outputs, for a term beside it. None: not computed.

    The teacher's output for the clean images is in the batch.
    """

    student_clean: NetworkOutput | None = None
    student_adversarial: NetworkOutput | None = None
    teacher_adversarial: NetworkOutput | None = None


@dataclass(frozen=True)
class MethodLoss:
    """The loss by its terms, and scalar metrics that are logged but are no part of it."""

    terms: dict[str, LossTerm]
    metrics: dict[str, Tensor] = field(default_factory=dict)
    outputs: LossOutputs = field(default_factory=LossOutputs)

    @property
    def total(self) -> Tensor:
        """The weighted sum of the terms, scalar."""
        return torch.stack([term.weight * term.value for term in self.terms.values()]).sum()


BatchT = TypeVar("BatchT", bound=Batch)


class Method(ABC, Generic[BatchT]):
    """A method with its settings, applied to one student."""

    settings: Spec
    heads: nn.ModuleDict
    """Modules that are trained beside the student; empty for most methods."""

    def __init__(self, settings: Spec, student: Classifier, precision: Precision = "fp32") -> None:
        self.settings = settings
        self.student = student
        self.heads = nn.ModuleDict()
        self.precision = precision

    @property
    def networks(self) -> list[Classifier]:
        """Every network that a training step runs."""
        return [self.student]

    @abstractmethod
    def prepare_batch(
        self, images_BCHW: Tensor, labels_B: Tensor, position: TrainingPosition = FIRST_STEP
    ) -> BatchT:
        """Compute what stays constant during the batch's step.

        A method may change the images: the adversary starts from those of the returned batch.
        """

    @abstractmethod
    def inner(self, batch: BatchT) -> Objective:
        """Return the objective that the adversary maximizes, per example [B].

        The caller puts the student into the mode that it has during the attack.
        """

    def transform_iterate(self, batch: BatchT, iterate_BCHW: Tensor) -> Tensor:
        """Return where the adversary takes its gradient and from where it steps, [B, C, H, W].

        For most methods that is the iterate itself. The last iterate is not transformed.
        """
        return iterate_BCHW

    @abstractmethod
    def outer(self, batch: BatchT, adversarial_BCHW: Tensor) -> MethodLoss:
        """Return the loss that the student minimizes.

        The caller puts the student into train mode.
        """

    def student_output(self, images_BCHW: Tensor) -> NetworkOutput:
        """Run the student, with gradients."""
        return forward(self.student, images_BCHW, self.precision)

    def update_statistics(self, images_BCHW: Tensor) -> None:
        """Run the student for its batch norms alone: its output is not used.

        In train mode each pass moves the running statistics. Some authors' code makes passes whose
        output its loss does not use; a method makes them where ``statistics_passes`` is set.
        """
        with torch.no_grad():
            forward(self.student, images_BCHW, self.precision)

    def cross_entropy_to_labels(self, batch: Batch) -> Objective:
        """CE(s(x^), y)."""
        return lambda adversarial_BCHW: cross_entropy(
            self.student_output(adversarial_BCHW).logits_BK, batch.labels_B, reduction="none"
        )


class AdversarialTrainingMethod(Method[Batch]):
    """A method without a teacher, on images as they come."""

    def prepare_batch(
        self, images_BCHW: Tensor, labels_B: Tensor, position: TrainingPosition = FIRST_STEP
    ) -> Batch:
        return Batch(images_BCHW, labels_B, position)

    def adversarial_cross_entropy(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(s(x^), y), averaged over the batch."""
        logits_BK = self.student_output(adversarial_BCHW).logits_BK
        return MethodLoss(
            {"cross_entropy": LossTerm(1.0, cross_entropy(logits_BK, batch.labels_B))}
        )


class DistillationMethod(Method[TeacherBatch]):
    """A method with a frozen teacher, which stays in eval mode."""

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

    def prepare_batch(
        self, images_BCHW: Tensor, labels_B: Tensor, position: TrainingPosition = FIRST_STEP
    ) -> TeacherBatch:
        return TeacherBatch(images_BCHW, labels_B, position, self.teacher_output(images_BCHW))

    def teacher_output(self, images_BCHW: Tensor) -> NetworkOutput:
        """Run the teacher, without gradients: its output is a constant target."""
        with torch.no_grad():
            return forward(self.teacher, images_BCHW, self.precision)

    def kl_to_clean_teacher(self, batch: TeacherBatch) -> Objective:
        """KL(p_t(x) || p_s(x^)), the teacher's clean prediction a constant."""
        target_BK = batch.teacher.logits_BK
        return lambda adversarial_BCHW: kl(
            target_BK, self.student_output(adversarial_BCHW).logits_BK
        )

    def kl_to_adaptive_teacher(self, batch: TeacherBatch) -> Objective:
        """KL(p_t(x^) || p_s(x^)), with gradients through both networks."""
        # Not teacher_output: the gradient at the images passes through the teacher, too.
        return lambda adversarial_BCHW: kl(
            forward(self.teacher, adversarial_BCHW, self.precision).logits_BK,
            self.student_output(adversarial_BCHW).logits_BK,
        )
