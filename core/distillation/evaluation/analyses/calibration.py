"""Expected calibration error (Guo et al., ICML 2017), clean and under PGD-20. N images, M bins."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.adversarial_batches import batches, pgd20_images
from core.distillation.evaluation.analyses.network_outputs import features_and_probabilities
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.evaluation import Calibration

KINDS = ("clean", "adversarial")


def calibration(
    target: EvaluationTarget, settings: Calibration, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Measure the calibration error, with confidence as the largest probability.

    Bins are of equal width. Images without finite probabilities are left out.
    """
    state = resume_state(state, end=0, clean=[], adversarial=[])
    predictions: dict[str, list[list[float]]] = {kind: list(state[kind]) for kind in KINDS}
    network = target.network
    with network_mode(network, "eval"), convolution_precision("fp32"):
        for end, images_BCHW, labels_B in batches(target, state["end"]):
            adversarial_BCHW = pgd20_images(
                network, target, images_BCHW, labels_B, end, "calibration"
            )
            predictions["clean"] += _predictions(network, images_BCHW, labels_B)
            predictions["adversarial"] += _predictions(network, adversarial_BCHW, labels_B)
            copies = {kind: list(pairs) for kind, pairs in predictions.items()}
            yield Step(end, len(target.images), {"end": end, **copies})
    data = {
        kind: calibration_error(torch.tensor(pairs, dtype=torch.float64), settings.bins)
        for kind, pairs in predictions.items()
    }
    values = {"ece": data["clean"]["ece"], "ece_adversarial": data["adversarial"]["ece"]}
    warnings = _warnings(data, len(target.images))
    yield Finding(None, values=values, data={**data, "warnings": warnings})


def _predictions(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> list[list[float]]:
    """Return (confidence, 1.0 if the prediction is correct, else 0.0) of each image."""
    _, probabilities_BK = features_and_probabilities(network, images_BCHW)
    confidence_B, prediction_B = probabilities_BK.max(dim=1)
    correct_B = (prediction_B == labels_B).double()
    return torch.stack([confidence_B.double(), correct_B], dim=1).tolist()


def _warnings(data: dict[str, Any], images: int) -> list[str]:
    omitted = {kind: images - error["images"] for kind, error in data.items()}
    return [
        f"{count} images had no finite {kind} probabilities and were left out."
        for kind, count in omitted.items()
        if count
    ]


def calibration_error(predictions_N2: Tensor, bins: int) -> dict[str, Any]:
    """Return the expected calibration error, and by bin: count, mean confidence, accuracy.

    ``predictions_N2`` has each image's confidence, and 1 or 0 for correct or not. The error is the
    mean distance between a bin's confidence and its accuracy, weighted by its count.
    """
    predictions_N2 = predictions_N2[predictions_N2.isfinite().all(dim=1)]
    confidence_N = predictions_N2[:, 0]
    correct_N = predictions_N2[:, 1]
    bin_N = (confidence_N * bins).ceil().long().clamp(1, bins) - 1
    count_M = torch.bincount(bin_N, minlength=bins).double()
    confidence_M = torch.bincount(bin_N, confidence_N, minlength=bins) / count_M.clamp_min(1)
    accuracy_M = torch.bincount(bin_N, correct_N, minlength=bins) / count_M.clamp_min(1)
    gap_M = (confidence_M - accuracy_M).abs()
    ece = (count_M * gap_M).sum() / count_M.sum().clamp_min(1)
    return {
        "ece": float(ece),
        "count": [int(count) for count in count_M],
        "confidence": confidence_M.tolist(),
        "accuracy": accuracy_M.tolist(),
        "images": len(predictions_N2),
    }
