"""The stages of AutoAttack one after the other, each on the images that are robust so far.

N images, B batch.
"""

import base64
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from core.distillation import seeds
from core.distillation.evaluation.accuracy import accuracy_finding
from core.distillation.evaluation.attacks import classify
from core.distillation.evaluation.autoattack.rows import BatchRobustness
from core.distillation.evaluation.autoattack.stages import StageSearch
from core.distillation.evaluation.autoattack.state import State
from core.distillation.evaluation.masks import mask_to_text, text_to_mask
from core.distillation.evaluation.steps import Finding, MeasureState, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.inference_network import prepare_for_inference
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.evaluation import Stage
from core.jobspec.resolved import ResolvedAutoAttack

UNITS_PER_STAGE = 1000
"""Units of progress."""


def autoattack(
    target: EvaluationTarget, settings: ResolvedAutoAttack, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Measure robust accuracy under AutoAttack.

    Yields a step after each batch of each stage; and, so that the caller may stop, also in between,
    with the state of the last completed batch. Random starts are a function of the target's seed,
    the stage and the batch, so another ``batch_size`` draws others.
    """
    suite = Suite(target, settings, State.from_json(state))
    with network_mode(target.network, "eval"), convolution_precision("fp32"):
        yield from suite.classify_clean()
        for index, stage in enumerate(settings.stages):
            yield from suite.run_stage(index, stage)
    yield suite.finding()


class Suite:
    def __init__(
        self, target: EvaluationTarget, settings: ResolvedAutoAttack, state: State
    ) -> None:
        """``state`` changes as the suite runs."""
        self.images = target.images
        self.classes = target.classes
        self.batch_size = target.batch_size
        self.seed = target.seed
        self.settings = settings
        self.network = prepare_for_inference(target.network)
        self.stage_search = StageSearch(self.network, settings, target.classes, target.batch_size)
        self.state = state

    def classify_clean(self) -> Iterator[Step]:
        """Find the images that are classified correctly without an attack."""
        while self.state.stage < 0 and len(self.state.robust) < len(self.images):
            start = len(self.state.robust)
            indices_B = torch.arange(start, min(start + self.batch_size, len(self.images)))
            images_BCHW, labels_B = self.images.batch(indices_B.to(self.images.labels_N.device))
            result = classify(self.network, images_BCHW, labels_B)
            self.state.robust += mask_to_text(result.correct_B)
            self.record_non_finite(indices_B, result.non_finite_B)
            yield self.step()
        if self.state.clean is None:
            self.state.finish_clean_pass()

    def run_stage(self, index: int, stage: Stage) -> Iterator[Step]:
        """Run one stage on the images that were robust when it began, batch by batch."""
        if index < self.state.stage:
            return
        entrants = text_to_mask(self.state.entrants).nonzero().flatten()
        for number, indices_B in enumerate(torch.split(entrants, self.batch_size)):
            # Where no image is robust, the one batch is empty.
            if number < self.state.batch or not len(indices_B):
                continue
            started = time.monotonic()
            images_BCHW, labels_B = self.images.batch(indices_B.to(self.images.labels_N.device))
            device = images_BCHW.device
            robustness = BatchRobustness(len(images_BCHW), device)
            generator = seeds.generator(device, self.seed, "autoattack", stage, number)
            for _ in self.stage_search.search(stage, images_BCHW, labels_B, robustness, generator):
                yield self.step()
            robust_N = text_to_mask(self.state.robust)
            robust_N[indices_B[robustness.misclassified_B.cpu()]] = False
            self.state.robust = mask_to_text(robust_N)
            self.state.batch = number + 1
            self.state.seconds += time.monotonic() - started
            self.record_non_finite(indices_B, robustness.non_finite_B)
            yield self.step()
        self.state.finish_stage(index, stage)

    def record_non_finite(self, indices_B: torch.Tensor, non_finite_B: torch.Tensor) -> None:
        indices = indices_B[non_finite_B.cpu()].tolist()
        self.state.non_finite = sorted({*self.state.non_finite, *indices})

    def step(self) -> Step:
        """Return progress: the clean pass and each stage count the same number of units."""
        state = self.state
        if state.stage < 0:
            completed = len(state.robust)
            images = len(self.images)
        else:
            completed = state.batch * self.batch_size
            images = state.entrants.count("1")
        share_of_stage = min(1.0, completed / max(1, images))
        return Step(
            round(UNITS_PER_STAGE * (state.stage + 1 + share_of_stage)),
            UNITS_PER_STAGE * (len(self.settings.stages) + 1),
            state.to_json(),
        )

    def finding(self) -> Finding:
        robust_N = text_to_mask(self.state.robust)
        accuracy = accuracy_finding(robust_N, self.images.labels_N.cpu(), self.classes)
        data = {
            "clean": self.state.clean,
            "stages": self.state.stages,
            "standing": base64.b64encode(np.packbits(robust_N.numpy()).tobytes()).decode(),
            "settings": self.settings.model_dump(mode="json"),
            "non_finite": len(self.state.non_finite),
            "notes": self.stage_search.notes(),
        }
        return replace(accuracy, data={**accuracy.data, **data})
