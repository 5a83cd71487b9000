"""AutoAttack (Croce and Hein, ICML 2020): four attacks one after the other, each on the images that still stand. N images."""

import base64
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.distillation import seeds
from core.distillation.data.images import ImageSource
from core.distillation.evaluation.accuracy import accuracy
from core.distillation.evaluation.attacks import is_misclassified
from core.distillation.evaluation.autoattack.apgd import Apgd
from core.distillation.evaluation.autoattack.fab import Fab
from core.distillation.evaluation.autoattack.losses import (
    Loss,
    cross_entropy,
    targeted_dlr,
    targeted_margin,
)
from core.distillation.evaluation.autoattack.norms import Norm
from core.distillation.evaluation.autoattack.rows import Rows, Standing
from core.distillation.evaluation.autoattack.square import Square
from core.distillation.evaluation.masks import mask_to_text, share_of_ones, text_to_mask
from core.distillation.evaluation.steps import Finding, Step, resume_state
from core.distillation.forward import convolutions_in, mode
from core.distillation.models.inference_network import prepare_for_inference
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import Stage
from core.jobspec.resolved import ResolvedAutoAttack

MOST_TARGETS = 9
FEWEST_CLASSES_FOR_DLR = 4
ROWS_WITHOUT_GRADIENT = 4
"""Square, which keeps nothing for a backward pass, may ask about so many batches at once."""

__all__ = ["autoattack"]


@dataclass
class State:
    """Where an evaluation stands: enough to go on from, as JSON. Masks are strings of 0 and 1, an image each."""

    standing: str = ""
    """So far; while ``stage`` is -1, of the images looked at so far."""
    before: str = ""
    """When the present stage began: its batches are taken of these."""
    stage: int = -1
    """-1: the clean accuracy."""
    batch: int = 0
    """The next one of the stage."""
    clean: float | None = None
    seconds: float = 0.0
    """Spent on the present stage."""
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    non_finite: list[int] = field(default_factory=list)
    """Images that met logits which are not finite."""


def autoattack(
    network: Classifier,
    images: ImageSource,
    settings: ResolvedAutoAttack,
    *,
    classes: int,
    batch_size: int,
    seed: int,
    state: dict[str, Any] | None = None,
) -> Iterator[Step | Finding]:
    """A step after each batch of each stage, and more often without news, so that one may stop; then the robust accuracy.

    The random starts are a function of ``seed``, the stage and the batch: another ``batch_size`` draws others.
    """
    run = Run(
        prepare_for_inference(network),
        images,
        settings,
        classes,
        batch_size,
        seed,
        State(**resume_state(state, **vars(State()))),
    )
    with mode(network, "eval"), convolutions_in("fp32"):
        yield from run.clean()
        for index, stage in enumerate(settings.stages):
            yield from run.attack(index, stage)
    yield run.finding()


@dataclass(frozen=True, eq=False)
class Run:
    """``network`` gives logits, in eval mode; ``state`` changes as the run goes on."""

    network: nn.Module
    images: ImageSource
    settings: ResolvedAutoAttack
    classes: int
    batch_size: int
    seed: int
    state: State

    @property
    def norm(self) -> Norm:
        return self.settings.norm

    @property
    def radius(self) -> float:
        return self.settings.radius

    @property
    def device(self) -> torch.device:
        return self.images.labels_N.device

    @property
    def targets(self) -> int:
        return min(MOST_TARGETS, self.classes - 1)

    # -- the parts

    def clean(self) -> Iterator[Step]:
        """Which images are classified correctly to begin with."""
        while self.state.stage < 0 and len(self.state.standing) < len(self.images):
            begin = len(self.state.standing)
            indices = torch.arange(begin, min(begin + self.batch_size, len(self.images)))
            images_BCHW, labels_B = self.images.batch(indices.to(self.device))
            with torch.no_grad():
                logits_BK = self.network(images_BCHW)
            self.state.standing += mask_to_text(~is_misclassified(logits_BK, labels_B))
            self.note_non_finite(indices, ~logits_BK.isfinite().all(dim=1))
            yield self.step()
        if self.state.clean is None:
            self.state.clean = share_of_ones(self.state.standing)
            self.state.stage, self.state.before = 0, self.state.standing

    def attack(self, index: int, stage: Stage) -> Iterator[Step]:
        """One stage, batch by batch of the images that stood when it began."""
        if index < self.state.stage:
            return
        entrants = text_to_mask(self.state.before).nonzero().flatten()
        for number, indices in enumerate(torch.split(entrants, self.batch_size)):
            if number < self.state.batch:
                continue
            began, spent = time.monotonic(), self.state.seconds
            images_BCHW, labels_B = self.images.batch(indices.to(self.device))
            standing = Standing(len(images_BCHW), images_BCHW.device)
            generator = seeds.generator(images_BCHW.device, self.seed, "autoattack", stage, number)
            for _ in self.search(stage, images_BCHW, labels_B, standing, generator):
                yield self.step()
            whole = text_to_mask(self.state.standing)
            whole[indices[standing.broken_B.cpu()]] = False
            self.state.standing = mask_to_text(whole)
            self.state.batch = number + 1
            self.state.seconds = spent + time.monotonic() - began
            self.note_non_finite(indices, standing.non_finite_B)
            yield self.step()
        self.close(index, stage)

    def close(self, index: int, stage: Stage) -> None:
        standing, before = text_to_mask(self.state.standing), text_to_mask(self.state.before)
        self.state.stages[stage] = {
            "standing": share_of_ones(self.state.standing),
            "broken": int(before.sum() - standing.sum()),
            "seconds": round(self.state.seconds, 3),
        }
        self.state.stage, self.state.batch, self.state.seconds = index + 1, 0, 0.0
        self.state.before = self.state.standing

    def search(
        self,
        stage: Stage,
        images_BCHW: Tensor,
        labels_B: Tensor,
        standing: Standing,
        generator: torch.Generator,
    ) -> Iterator[None]:
        """One stage's attack on one batch; what it breaks is in ``standing``."""
        every_B = torch.arange(len(images_BCHW), device=images_BCHW.device)
        rows = Rows(every_B, images_BCHW, labels_B)
        if stage == "square":
            square = Square(
                self.network,
                norm=self.norm,
                radius=self.radius,
                queries=self.settings.queries,
                rows_at_once=ROWS_WITHOUT_GRADIENT * self.batch_size,
            )
            yield from square.search(rows, standing, generator)
        elif stage == "apgd-ce":
            yield from self.apgd(cross_entropy).search(rows, labels_B, standing, generator)
        else:
            yield from self.targeted(stage, rows, standing, generator)

    def targeted(
        self, stage: Stage, rows: Rows, standing: Standing, generator: torch.Generator
    ) -> Iterator[None]:
        """Target after target, the likeliest first; as many at once as fit into a batch of the images that still stand."""
        with torch.no_grad():
            ranked_BT = self.network(rows.images_RCHW).argsort(dim=1, descending=True)[
                :, 1 : self.targets + 1
            ]
        done = 0
        while done < self.targets:
            alive_A = (~standing.broken_B).nonzero().flatten()
            if not len(alive_A):
                return
            at_once = min(max(1, self.batch_size // len(alive_A)), self.targets - done)
            chosen = rows.where(alive_A.repeat(at_once))
            targets_R = ranked_BT[alive_A, done : done + at_once].T.flatten()
            if stage == "apgd-t":
                loss = targeted_dlr if self.classes >= FEWEST_CLASSES_FOR_DLR else targeted_margin
                yield from self.apgd(loss).search(chosen, targets_R, standing, generator)
            else:
                fab = Fab(
                    self.network,
                    norm=self.norm,
                    radius=self.radius,
                    iterations=self.settings.iterations,
                )
                yield from fab.search(chosen, targets_R, standing)
            done += at_once

    def apgd(self, loss: Loss) -> Apgd:
        return Apgd(
            self.network,
            loss,
            norm=self.norm,
            radius=self.radius,
            iterations=self.settings.iterations,
        )

    # -- what is told of it

    def note_non_finite(self, indices: Tensor, non_finite_B: Tensor) -> None:
        self.state.non_finite = sorted(
            {*self.state.non_finite, *indices[non_finite_B.cpu()].tolist()}
        )

    def step(self) -> Step:
        stages, it = len(self.settings.stages), self.state
        entrants = it.before.count("1") if it.stage >= 0 else len(self.images)
        within = (it.batch * self.batch_size if it.stage >= 0 else len(it.standing)) / max(
            1, entrants
        )
        parts = 1000
        return Step(
            round(parts * (it.stage + 1 + min(1.0, within))), parts * (stages + 1), asdict(it)
        )

    def finding(self) -> Finding:
        found = accuracy(text_to_mask(self.state.standing), self.images.labels_N.cpu(), self.classes)
        data = {
            "clean": self.state.clean,
            "stages": self.state.stages,
            "standing": base64.b64encode(
                np.packbits(text_to_mask(self.state.standing).numpy()).tobytes()
            ).decode(),
            "settings": self.settings.model_dump(mode="json"),
            "non_finite": len(self.state.non_finite),
            "notes": self.notes(),
        }
        return Finding(found.value, data={**found.data, **data})

    def notes(self) -> list[str]:
        found = []
        if self.targets < MOST_TARGETS and {"apgd-t", "fab-t"} & set(self.settings.stages):
            found.append(
                f"{self.classes} classes: {self.targets} targets instead of {MOST_TARGETS}."
            )
        if self.classes < FEWEST_CLASSES_FOR_DLR and "apgd-t" in self.settings.stages:
            found.append(
                f"{self.classes} classes: APGD-T climbs the targeted margin, as the DLR loss needs four."
            )
        return found
