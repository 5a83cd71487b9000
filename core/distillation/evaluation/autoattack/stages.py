"""One stage of AutoAttack on one batch: which attack it runs, on which rows, with which targets.

B images of the batch, A those that are robust so far, T target classes, R rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.distillation.evaluation.autoattack.apgd import Apgd
from core.distillation.evaluation.autoattack.fab import Fab
from core.distillation.evaluation.autoattack.losses import (
    Loss,
    cross_entropy,
    targeted_dlr,
    targeted_margin,
)
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows
from core.distillation.evaluation.autoattack.square import Square
from core.jobspec.evaluation import Stage
from core.jobspec.resolved import ResolvedAutoAttack

MAX_TARGETS = 9
MIN_CLASSES_FOR_DLR = 4
SQUARE_BATCHES = 4
"""Square stores nothing for a backward pass, so a forward pass may have this many batches."""


@dataclass(frozen=True, eq=False)
class StageSearch:
    """The attacks of all stages, with one network and one set of settings.

    ``network`` maps images to logits and is in eval mode.
    """

    network: nn.Module
    settings: ResolvedAutoAttack
    classes: int
    batch_size: int

    @property
    def targets(self) -> int:
        """Number of target classes of a targeted attack."""
        return min(MAX_TARGETS, self.classes - 1)

    def search(
        self,
        stage: Stage,
        images_BCHW: Tensor,
        labels_B: Tensor,
        robustness: BatchRobustness,
        generator: torch.Generator,
    ) -> Iterator[None]:
        """Run one stage on one batch, and record misclassified images in ``robustness``.

        Yields often, so that the caller may stop.
        """
        indices_B = torch.arange(len(images_BCHW), device=images_BCHW.device)
        rows = Rows(indices_B, images_BCHW, labels_B)
        if stage == "square":
            yield from self.square().search(rows, robustness, generator)
        elif stage == "apgd-ce":
            yield from self.apgd(cross_entropy).search(rows, labels_B, robustness, generator)
        else:
            yield from self.search_targets(stage, rows, robustness, generator)

    def search_targets(
        self, stage: Stage, rows: Rows, robustness: BatchRobustness, generator: torch.Generator
    ) -> Iterator[None]:
        """Attack target after target, the most likely first.

        As the batch shrinks to the images that are robust so far, each gets a row for as many
        targets at once as fit into a batch.
        """
        with torch.no_grad():
            ranked_BK = self.network(rows.images_RCHW).argsort(dim=1, descending=True)
        targets_BT = ranked_BK[:, 1 : self.targets + 1]
        completed = 0
        while completed < self.targets:
            robust_A = robustness.robust_B.nonzero().flatten()
            if not len(robust_A):
                return
            at_once = max(1, self.batch_size // len(robust_A))
            at_once = min(at_once, self.targets - completed)
            pairs = rows.select(robust_A.repeat(at_once))
            targets_R = targets_BT[robust_A, completed : completed + at_once].T.flatten()
            if stage == "apgd-t":
                dlr_is_defined = self.classes >= MIN_CLASSES_FOR_DLR
                apgd = self.apgd(targeted_dlr if dlr_is_defined else targeted_margin)
                yield from apgd.search(pairs, targets_R, robustness, generator)
            else:
                yield from self.fab().search(pairs, targets_R, robustness)
            completed += at_once

    def apgd(self, loss: Loss) -> Apgd:
        return Apgd(
            self.network,
            loss,
            norm=self.settings.norm,
            radius=self.settings.radius,
            iterations=self.settings.iterations,
        )

    def fab(self) -> Fab:
        return Fab(
            self.network,
            norm=self.settings.norm,
            radius=self.settings.radius,
            iterations=self.settings.iterations,
        )

    def square(self) -> Square:
        return Square(
            self.network,
            norm=self.settings.norm,
            radius=self.settings.radius,
            queries=self.settings.queries,
            rows_at_once=SQUARE_BATCHES * self.batch_size,
        )

    def notes(self) -> list[str]:
        """Return what few classes change, for the report."""
        notes = []
        if self.targets < MAX_TARGETS and {"apgd-t", "fab-t"} & set(self.settings.stages):
            notes.append(
                f"{self.classes} classes: {self.targets} targets instead of {MAX_TARGETS}."
            )
        if self.classes < MIN_CLASSES_FOR_DLR and "apgd-t" in self.settings.stages:
            notes.append(
                f"{self.classes} classes: APGD-T ascends the targeted margin, as the DLR loss "
                "needs four classes."
            )
        return notes
