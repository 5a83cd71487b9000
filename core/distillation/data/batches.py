"""The batches of a training: which images come in which step is a function of the seed and the step alone. B batch."""

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.data.images import ImageSource, Pending
from core.jobspec.data import Augmentation


class Batches:
    """Batch after batch of augmented images, epoch after epoch; with extra images, a fixed share of every batch is of them.

    An epoch is as many complete batches as the images fill by themselves, whatever is mixed in: with extra images it shows only
    so much of them, other ones in every epoch. Extra images are drawn with replacement, so that nothing of their number is held
    in memory.
    """

    def __init__(
        self,
        images: ImageSource,
        extra: ImageSource | None = None,
        *,
        ratio: float = 0.0,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        device: torch.device,
    ) -> None:
        """``ratio`` is the extra images' share of a batch."""
        self.images, self.extra = images, extra
        self.extra_size = 0 if extra is None else round(batch_size * ratio)
        self.size = batch_size - self.extra_size
        self.steps_per_epoch = len(images) // batch_size
        self.batch_size, self.augmentation, self.seed, self.device = (
            batch_size,
            augmentation,
            seed,
            device,
        )
        self._order: tuple[int, Tensor] | None = None
        self._ahead: dict[int, Pending] = {}

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] in [0, 1] and labels [B] of a step, from 0. The next step's are begun with meanwhile."""
        batch = self._ahead.pop(step, None) or self._prepare(step)
        self._ahead = {step + 1: self._prepare(step + 1)}
        return batch()

    def _prepare(self, step: int) -> Pending:
        generator = seeds.generator(self.device, self.seed, "augmentation", step)
        own = self.images.prepare(self._indices(step), self.augmentation, generator)
        if self.extra is None:
            return own
        drawn = seeds.generator("cpu", self.seed, "extra", step)
        indices_B = torch.randint(len(self.extra), (self.extra_size,), generator=drawn)
        more = self.extra.prepare(indices_B, self.augmentation, generator)

        def both() -> tuple[Tensor, Tensor]:
            (images_BCHW, labels_B), (more_BCHW, more_B) = own(), more()
            return torch.cat([images_BCHW, more_BCHW]), torch.cat([labels_B, more_B])

        return both

    def _indices(self, step: int) -> Tensor:
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            generator = seeds.generator("cpu", self.seed, "order", epoch)
            self._order = (
                epoch,
                torch.randperm(len(self.images), generator=generator).to(self.images.index_device),
            )
        return self._order[1][position * self.size :][: self.size]
