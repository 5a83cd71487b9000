"""Adversarial examples: images, their perturbations, and what network and reference make of them.

N images, B batch, C H W image, K classes.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.distillation.evaluation.analyses.adversarial_batches import (
    batches,
    networks,
    pgd20_images,
)
from core.distillation.evaluation.analyses.network_outputs import features_and_probabilities
from core.distillation.evaluation.attacks import is_correct
from core.distillation.evaluation.masks import mask_to_text
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.evaluation import ANALYSIS_STEPS, Examples
from core.reportspec.examples import (
    EXAMPLE_COLUMNS,
    EXAMPLES_FILE,
    OUTCOMES,
    OUTCOMES_WITHOUT_REFERENCE,
)

MAX_PICTURE_BYTES = 32 * 2**20
"""Of the picture before it is compressed: of large images it shows fewer."""
PURPOSE = "examples"
ORDER = ("network_falls", "both_fall", "both_hold", "network_holds", "reference_falls")
"""Of the outcomes among the examples: they take turns."""


@dataclass(frozen=True, eq=False)
class Example:
    """One image, as it is shown. Pictures are uint8 [C, H, W], in the order of the columns."""

    entry: dict[str, Any]
    pictures: list[Tensor]


def examples(
    target: EvaluationTarget, settings: Examples, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Attack all images with PGD-20 made for the network, and show some of them.

    The state has a mask for each network: which images it classifies correctly under the attack.
    The batches of the images that are shown are attacked once more, from the same random starts,
    instead of keeping images in the state.
    """
    evaluated = networks(target)
    masks: dict[str, str] = resume_state(state, **dict.fromkeys(evaluated, ""))
    images = len(target.images)
    with ExitStack() as modes:
        for network in evaluated.values():
            modes.enter_context(network_mode(network, "eval"))
        modes.enter_context(convolution_precision("fp32"))
        for end, images_BCHW, labels_B in batches(target, len(masks["network"])):
            adversarial_BCHW = pgd20_images(
                target.network, target, images_BCHW, labels_B, end, PURPOSE
            )
            masks = {
                name: masks[name] + mask_to_text(is_correct(network, adversarial_BCHW, labels_B))
                for name, network in evaluated.items()
            }
            yield Step(end, images, masks)
        outcomes = [outcome(masks, index) for index in range(images)]
        selected = select(outcomes, target.images.labels_N.tolist(), _most(target, settings.count))
        by_index: dict[int, Example] = {}
        for first in sorted({index // target.batch_size for index in selected}):
            start = first * target.batch_size
            rows = [index - start for index in selected if index // target.batch_size == first]
            by_index |= _show(target, start, rows)
            yield Step(images, images, masks)
    yield _finding(target, masks, [by_index[index] for index in selected])


def outcome(masks: dict[str, str], index: int) -> str:
    """Return what the attack does to an image, by the masks of network and reference, if any."""
    network_holds = masks["network"][index] == "1"
    if "reference" not in masks:
        return "network_holds" if network_holds else "network_falls"
    reference_holds = masks["reference"][index] == "1"
    if network_holds:
        return "both_hold" if reference_holds else "reference_falls"
    return "network_falls" if reference_holds else "both_fall"


def select(outcomes: Sequence[str], labels: Sequence[int], count: int) -> list[int]:
    """Return indices of ``count`` images: outcomes take turns, and within an outcome the classes.

    Of equal ones the earlier image comes first, so that few batches have to be attacked again.
    """
    ranks: dict[tuple[str, int], int] = {}
    queues: dict[str, list[tuple[int, int]]] = {name: [] for name in ORDER}
    for index, group in enumerate(zip(outcomes, labels, strict=True)):
        rank = ranks[group] = ranks.get(group, -1) + 1
        queues[group[0]].append((rank, index))
    turns = zip_longest(*(sorted(queue) for queue in queues.values()))
    order = [place[1] for turn in turns for place in turn if place is not None]
    return order[:count]


def _most(target: EvaluationTarget, count: int) -> int:
    """Return how many of ``count`` images of this size are shown."""
    image_1CHW, _ = target.images.batch(torch.zeros(1, dtype=torch.int64))
    row_bytes = len(EXAMPLE_COLUMNS) * image_1CHW.numel()
    return max(1, min(count, MAX_PICTURE_BYTES // row_bytes))


def _show(target: EvaluationTarget, start: int, rows: Sequence[int]) -> dict[int, Example]:
    """Attack the batch that begins at image ``start``; return these of its images, by index."""
    end, images_BCHW, labels_B = next(batches(target, start))
    adversarial_BCHW = pgd20_images(target.network, target, images_BCHW, labels_B, end, PURPOSE)
    predictions = {
        name: _predictions(network, images_BCHW, adversarial_BCHW, labels_B, rows)
        for name, network in networks(target).items()
    }
    result = {}
    for position, row in enumerate(rows):
        of_networks = {name: column[position] for name, column in predictions.items()}
        label = int(labels_B[row])
        holds = {
            name: "1" if prediction["attacked"]["prediction"] == label else "0"
            for name, prediction in of_networks.items()
        }
        entry = {"index": start + row, "label": label, "outcome": outcome(holds, 0), **of_networks}
        pictures = draw(images_BCHW[row], adversarial_BCHW[row], target.radius)
        result[start + row] = Example(entry, pictures)
    return result


def _predictions(
    network: Classifier,
    images_BCHW: Tensor,
    adversarial_BCHW: Tensor,
    labels_B: Tensor,
    rows: Sequence[int],
) -> list[dict[str, dict[str, Any]]]:
    """Return for each row what the network predicts, ``clean`` and ``attacked``."""
    kinds = {"clean": images_BCHW, "attacked": adversarial_BCHW}
    columns = {}
    for kind, batch_BCHW in kinds.items():
        _, probabilities_BK = features_and_probabilities(network, batch_BCHW)
        columns[kind] = [prediction(probabilities_BK[row], int(labels_B[row])) for row in rows]
    return [
        {kind: column[position] for kind, column in columns.items()}
        for position in range(len(rows))
    ]


def prediction(probabilities_K: Tensor, label: int) -> dict[str, Any]:
    """Return the class predicted, its probability, and the label's; all None if not finite."""
    if not probabilities_K.isfinite().all():
        return {"prediction": None, "probability": None, "label_probability": None}
    predicted = int(probabilities_K.argmax())
    return {
        "prediction": predicted,
        "probability": float(probabilities_K[predicted]),
        "label_probability": float(probabilities_K[label]),
    }


def draw(clean_CHW: Tensor, adversarial_CHW: Tensor, radius: float) -> list[Tensor]:
    """Return the image, its change and the adversarial image as uint8 [C, H, W].

    The change is as ``core.reportspec.examples`` says.
    """
    change_CHW = (adversarial_CHW - clean_CHW) / radius if radius else torch.zeros_like(clean_CHW)
    floats = (clean_CHW, (change_CHW + 1) / 2, adversarial_CHW)
    return [(255 * image.detach()).round().clamp(0, 255).to(torch.uint8).cpu() for image in floats]


def _finding(
    target: EvaluationTarget, masks: dict[str, str], selection: Sequence[Example]
) -> Finding:
    outcomes = [outcome(masks, index) for index in range(len(target.images))]
    titles = OUTCOMES if "reference" in masks else OUTCOMES_WITHOUT_REFERENCE
    _, height, width = selection[0].pictures[0].shape
    data = {
        "images": len(target.images),
        "radius": target.radius,
        "steps": ANALYSIS_STEPS,
        "outcomes": {name: outcomes.count(name) for name in titles},
        "picture": {
            "file": EXAMPLES_FILE,
            "columns": list(EXAMPLE_COLUMNS),
            "tile_width": width,
            "tile_height": height,
        },
        "examples": [example.entry for example in selection],
        "png_picture": _encode_picture(selection),
    }
    return Finding(None, data=data)


def _encode_picture(selection: Sequence[Example]) -> str:
    """Return a PNG in base64 with a row for each example."""
    rows = [torch.cat(example.pictures, dim=2) for example in selection]
    pixels_HWC: np.ndarray[Any, np.dtype[np.uint8]] = (
        torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
    )
    if pixels_HWC.shape[2] == 1:
        pixels_HWC = pixels_HWC.squeeze(2)  # Pillow takes gray images without a channel axis
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels_HWC)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
