"""AT-PRM: adversarial training of vision transformers with perturbation random masking.

Mo et al., NeurIPS 2022. Each step of the attack first sets the perturbation of random patches to
zero, takes the gradient there, and from there moves all patches; the network is trained on the end
of the attack, in which no patch is masked.
B batch size, C H W image, h w rows and columns of patches, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn.functional import cross_entropy, one_hot

from core.distillation.adversaries import Objective
from core.distillation.forward import Precision
from core.distillation.methods.method import (
    FIRST_STEP,
    Batch,
    LossTerm,
    Method,
    MethodLoss,
    TrainingPosition,
)
from core.distillation.models.network import Classifier
from core.jobspec.training.methods import AtPrmSettings

Mix = Callable[[Tensor, float], tuple[Tensor, float]]


@dataclass(frozen=True)
class MixedBatch(Batch):
    """Images mixed with those of the batch in reverse order, or as they were."""

    ratio: float
    """Weight of each image and its label, in [0, 1]; the image that it is mixed with has the rest.
    1 where nothing was mixed."""


class AtPrm(Method[MixedBatch]):
    settings: AtPrmSettings

    def __init__(
        self, settings: AtPrmSettings, student: Classifier, precision: Precision = "fp32"
    ) -> None:
        """Raise ValueError for a student that does not divide images into patches."""
        super().__init__(settings, student, precision)
        if student.patch_size is None:
            raise ValueError(
                "AT-PRM masks the patches of a vision transformer; "
                f"{type(student).__name__} has none."
            )
        self.patch_size = student.patch_size

    def prepare_batch(
        self, images_BCHW: Tensor, labels_B: Tensor, position: TrainingPosition = FIRST_STEP
    ) -> MixedBatch:
        """Mix the images, and so the labels, with those of the batch in reverse order.

        One coin for the whole batch decides whether it is mixed, a second one chooses between mixup
        and CutMix.
        """
        mixes: list[tuple[Mix, float]] = []
        if self.settings.mixup > 0:
            mixes.append((mixup, self.settings.mixup))
        if self.settings.cutmix > 0:
            mixes.append((cutmix, self.settings.cutmix))
        if not mixes or float(torch.rand(())) >= self.settings.mixing_probability:
            return MixedBatch(images_BCHW, labels_B, position, ratio=1.0)
        mix, concentration = mixes[int(torch.randint(len(mixes), ()))]
        ratio = float(Beta(concentration, concentration).sample())
        mixed_BCHW, ratio = mix(images_BCHW, ratio)
        return MixedBatch(mixed_BCHW, labels_B, position, ratio)

    def inner(self, batch: MixedBatch) -> Objective:
        """CE(s(x^), y), y mixed and smoothed."""
        return lambda adversarial_BCHW: self.mixed_cross_entropy(batch, adversarial_BCHW)

    def transform_iterate(self, batch: MixedBatch, iterate_BCHW: Tensor) -> Tensor:
        """x + M (x^ - x): M is 0 on random patches, the same in all images, and 1 elsewhere.

        It is drawn anew in every step of the attack.
        """
        rows = iterate_BCHW.shape[2] // self.patch_size
        columns = iterate_BCHW.shape[3] // self.patch_size
        masked_patches = int(rows * columns * self.masking_rate(batch.position))
        if masked_patches == 0:
            return iterate_BCHW
        patches = torch.randperm(rows * columns, device=iterate_BCHW.device)
        masked_h1w1 = (patches < masked_patches).view(rows, 1, columns, 1)
        side = self.patch_size
        masked_HW = masked_h1w1.expand(-1, side, -1, side).reshape(rows * side, columns * side)
        return torch.where(masked_HW, batch.images_BCHW, iterate_BCHW)

    def outer(self, batch: MixedBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(s(x^), y), averaged over the batch, y mixed and smoothed."""
        loss_B = self.mixed_cross_entropy(batch, adversarial_BCHW)
        return MethodLoss(
            {"cross_entropy": LossTerm(1.0, loss_B.mean())},
            {"masked": torch.tensor(self.masking_rate(batch.position))},
        )

    def mixed_cross_entropy(self, batch: MixedBatch, images_BCHW: Tensor) -> Tensor:
        """Return the cross entropy against the mixed and smoothed labels, per example [B]."""
        logits_BK = self.student_output(images_BCHW).logits_BK
        label_BK = one_hot(batch.labels_B, logits_BK.shape[1]).to(logits_BK.dtype)
        mixed_BK = batch.ratio * label_BK + (1 - batch.ratio) * label_BK.flip(0)
        return cross_entropy(
            logits_BK, mixed_BK, reduction="none", label_smoothing=self.settings.label_smoothing
        )

    def masking_rate(self, position: TrainingPosition) -> float:
        """Return the share of masked patches: it falls linearly to 0 over ``ramp_epochs``.

        As in the authors' code, it has fallen by one step in the first step already.
        """
        if self.settings.ramp_epochs == 0:
            return 0.0
        ramp_steps = self.settings.ramp_epochs * position.steps_per_epoch
        return self.settings.masked * max(0.0, 1 - (position.step + 1) / ramp_steps)


def mixup(images_BCHW: Tensor, ratio: float) -> tuple[Tensor, float]:
    """Return ratio x + (1 - ratio) x', and ``ratio`` (Zhang et al., ICLR 2018)."""
    return ratio * images_BCHW + (1 - ratio) * images_BCHW.flip(0), ratio


def cutmix(images_BCHW: Tensor, ratio: float) -> tuple[Tensor, float]:
    """Paste a rectangle of (1 - ratio) of the area from the other image (Yun et al., ICCV 2019).

    The rectangle is cut off at the border of the image, so the share of the area that remains of
    each image, which is returned with the images, may be larger than ``ratio``.
    """
    _, _, height, width = images_BCHW.shape
    side = (1 - ratio) ** 0.5
    center_row = int(torch.randint(height, ()))
    center_column = int(torch.randint(width, ()))
    half_rows = int(side * height) // 2
    half_columns = int(side * width) // 2
    rows = slice(max(0, center_row - half_rows), min(height, center_row + half_rows))
    columns = slice(max(0, center_column - half_columns), min(width, center_column + half_columns))
    mixed_BCHW = images_BCHW.clone()
    mixed_BCHW[:, :, rows, columns] = images_BCHW.flip(0)[:, :, rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed_BCHW, 1 - area / (height * width)
