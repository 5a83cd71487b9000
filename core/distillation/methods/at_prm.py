"""AT-PRM: adversarial training of vision transformers with perturbation random masking (Mo et al., NeurIPS 2022).

B batch, C H W image, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn.functional import cross_entropy, interpolate, one_hot

from core.distillation.adversaries import Objective
from core.distillation.forward import Precision
from core.distillation.methods.method import Batch, LossTerm, Method, MethodLoss, TrainingPosition
from core.distillation.models.network import Classifier
from core.jobspec.training.methods import AtPrmSettings as Settings


@dataclass(frozen=True)
class MixedBatch(Batch):
    """Images mixed with those of the batch in reverse order."""

    share: float = 1.0
    """What is left of each image and its label; the rest is the other's."""


class AtPrm(Method):
    settings: Settings

    def __init__(
        self, settings: Settings, student: Classifier, precision: Precision = "fp32"
    ) -> None:
        """Raises ValueError for a student that does not look at patches."""
        super().__init__(settings, student, precision)
        if student.patch_size is None:
            raise ValueError(
                f"AT-PRM masks the patches of a vision transformer; {type(student).__name__} has none."
            )
        self.patch_size = student.patch_size

    def prepare_batch(self, images_BCHW: Tensor, labels_B: Tensor, when: TrainingPosition | None = None) -> Batch:
        """Mixes the images of the batch with those of its reverse, and so their labels."""
        when = when or TrainingPosition()
        batch = MixedBatch(images_BCHW, labels_B, position=when)
        mixes: list[Callable[[Tensor, float], tuple[Tensor, float]]] = []
        mixes += [mixup] if self.settings.mixup > 0 else []
        mixes += [cutmix] if self.settings.cutmix > 0 else []
        if not mixes:
            return batch
        mix = mixes[int(torch.randint(len(mixes), ()))]
        parameter = self.settings.mixup if mix is mixup else self.settings.cutmix
        images_BCHW, share = mix(images_BCHW, float(Beta(parameter, parameter).sample()))
        return MixedBatch(images_BCHW, labels_B, position=when, share=share)

    def inner(self, batch: Batch) -> Objective:
        """CE(s(x + M (x^ - x)), y), the mask M drawn anew in every step of the attack."""
        return lambda adversarial: self.loss(batch, self.masked(batch, adversarial))

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """The same at the attack's end, averaged."""
        value = self.loss(batch, self.masked(batch, adversarial_BCHW)).mean()
        return MethodLoss(
            {"cross_entropy": LossTerm(1.0, value)}, {"masked": torch.tensor(self.rate(batch.position))}
        )

    def loss(self, batch: Batch, images_BCHW: Tensor) -> Tensor:
        """Cross entropy against the mixed and smoothed labels, per example, [B]."""
        logits_BK = self.student_output(images_BCHW).logits_BK
        label_BK = one_hot(batch.labels_B, logits_BK.shape[1]).to(logits_BK.dtype)
        share = batch.share if isinstance(batch, MixedBatch) else 1.0
        mixed_BK = share * label_BK + (1 - share) * label_BK.flip(0)
        return cross_entropy(
            logits_BK, mixed_BK, reduction="none", label_smoothing=self.settings.label_smoothing
        )

    def masked(self, batch: Batch, adversarial_BCHW: Tensor) -> Tensor:
        """The adversarial images with the perturbation of random patches zeroed."""
        rate = self.rate(batch.position)
        if rate == 0:
            return adversarial_BCHW
        images_BCHW, patch = batch.images_BCHW, self.patch_size
        rows, columns = images_BCHW.shape[2] // patch, images_BCHW.shape[3] // patch
        kept = torch.rand(len(images_BCHW), 1, rows, columns, device=images_BCHW.device) >= rate
        return images_BCHW + interpolate(kept.to(images_BCHW.dtype), scale_factor=patch) * (
            adversarial_BCHW - images_BCHW
        )

    def rate(self, when: TrainingPosition) -> float:
        """Share of the patches that are masked: falls linearly to 0 over ``ramp_epochs``."""
        if self.settings.ramp_epochs == 0:
            return 0.0
        return self.settings.masked * max(
            0.0, 1 - when.step / (self.settings.ramp_epochs * when.steps_per_epoch)
        )


def mixup(images_BCHW: Tensor, share: float) -> tuple[Tensor, float]:
    """share x + (1 - share) x' (Zhang et al., ICLR 2018)."""
    return share * images_BCHW + (1 - share) * images_BCHW.flip(0), share


def cutmix(images_BCHW: Tensor, share: float) -> tuple[Tensor, float]:
    """A rectangle of (1 - share) of the area, cut off at the border, comes from the other image (Yun et al., ICCV 2019).

    The share that is given back is what the border left.
    """
    _, _, height, width = images_BCHW.shape
    cut = (1 - share) ** 0.5 / 2
    middle, centre = int(torch.randint(height, ())), int(torch.randint(width, ()))
    top, bottom = max(0, middle - round(cut * height)), min(height, middle + round(cut * height))
    left, right = max(0, centre - round(cut * width)), min(width, centre + round(cut * width))
    mixed_BCHW = images_BCHW.clone()
    mixed_BCHW[:, :, top:bottom, left:right] = images_BCHW.flip(0)[:, :, top:bottom, left:right]
    return mixed_BCHW, 1 - (bottom - top) * (right - left) / (height * width)
