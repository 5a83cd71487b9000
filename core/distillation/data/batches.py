"""The batches of a training: a step's images are a function of the seed and the step. B batch."""

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.data.images import ImageSource, PendingBatch
from core.jobspec.compatibility import extra_images_per_batch
from core.jobspec.data import Augmentation


class Batches:
    """Augmented batches, epoch after epoch, with a fixed share of extra images in each.

    An epoch has as many full batches as the images fill by themselves. With extra images it shows
    only a part of them, another one in every epoch. Extra images are drawn with replacement, so
    nothing in memory grows with their number.
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
        """``ratio`` is the share of extra images in a batch."""
        self.images = images
        self.extra = extra
        self.extra_size = 0 if extra is None else extra_images_per_batch(batch_size, ratio)
        self.size = batch_size - self.extra_size
        self.steps_per_epoch = len(images) // batch_size
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.device = device
        self._order: tuple[int, Tensor] | None = None
        self._prefetched: dict[int, PendingBatch] = {}

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images [B, C, H, W] in [0, 1] and labels [B] of a step, counted from 0.

        Starts to prepare the next step's batch before it waits for this one.
        """
        batch = self._prefetched.pop(step, None) or self._prepare(step)
        self._prefetched = {step + 1: self._prepare(step + 1)}
        return batch()

    def _prepare(self, step: int) -> PendingBatch:
        generator = seeds.generator(self.device, self.seed, "augmentation", step)
        own = self.images.prepare(self._indices(step), self.augmentation, generator)
        if self.extra is None:
            return own
        extra_generator = seeds.generator("cpu", self.seed, "extra", step)
        indices_B = torch.randint(len(self.extra), (self.extra_size,), generator=extra_generator)
        extra = self.extra.prepare(indices_B, self.augmentation, generator)

        def finish() -> tuple[Tensor, Tensor]:
            # Own images first: both draw their augmentation from the same generator.
            images_BCHW, labels_B = own()
            extra_BCHW, extra_labels_B = extra()
            return torch.cat([images_BCHW, extra_BCHW]), torch.cat([labels_B, extra_labels_B])

        return finish

    def _indices(self, step: int) -> Tensor:
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            generator = seeds.generator("cpu", self.seed, "order", epoch)
            order_N = torch.randperm(len(self.images), generator=generator)
            self._order = (epoch, order_N.to(self.images.index_device))
        return self._order[1][position * self.size :][: self.size]
