"""Expected calibration error (Guo et al., ICML 2017), clean and under PGD-20."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.attacked import attacked, batches
from core.distillation.evaluation.analyses.variance_gap import seen
from core.distillation.evaluation.steps import Finding, Step, begun
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.forward import convolutions_in, mode
from core.jobspec.evaluation import Calibration


def calibration(
    settings: Calibration, subject: EvaluationTarget, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    """Confidence is the largest probability; bins of equal width. Images without finite probabilities are left out."""
    state = begun(state, end=0, clean=[], adversarial=[])
    said: dict[str, list[list[float]]] = {
        kind: list(state[kind]) for kind in ("clean", "adversarial")
    }
    network = subject.network
    with mode(network, "eval"), convolutions_in("fp32"):
        for end, images_BCHW, labels_B in batches(subject, state["end"]):
            adversarial_BCHW = attacked(network, subject, images_BCHW, labels_B, end, "calibration")
            for kind, images in (("clean", images_BCHW), ("adversarial", adversarial_BCHW)):
                confidence_B, guess_B = seen(network, images)[1].max(dim=1)
                said[kind] += torch.stack(
                    [confidence_B.double(), (guess_B == labels_B).double()], dim=1
                ).tolist()
            yield Step(
                end,
                len(subject.images),
                {"end": end} | {kind: list(pairs) for kind, pairs in said.items()},
            )
    data = {
        kind: binned(torch.tensor(pairs, dtype=torch.float64), settings.bins)
        for kind, pairs in said.items()
    }
    values = {"ece": data["clean"]["ece"], "ece_adversarial": data["adversarial"]["ece"]}
    yield Finding(
        None, values=values, data={**data, "warnings": left_out(data, len(subject.images))}
    )


def left_out(data: dict[str, Any], images: int) -> list[str]:
    missing = {kind: images - found["images"] for kind, found in data.items()}
    return [
        f"{count} images had no finite {kind} probabilities and were left out."
        for kind, count in missing.items()
        if count
    ]


def binned(pairs_N2: Tensor, bins: int) -> dict[str, Any]:
    """(confidence, right) of each image -> by bin how many, how sure, how often right. ECE: mean distance, weighted by count."""
    pairs_N2 = pairs_N2[pairs_N2.isfinite().all(dim=1)]
    confidence_N, right_N = pairs_N2[:, 0], pairs_N2[:, 1]
    bin_N = (confidence_N * bins).ceil().long().clamp(1, bins) - 1
    count_M = torch.bincount(bin_N, minlength=bins).double()
    sure_M = torch.bincount(bin_N, confidence_N, minlength=bins) / count_M.clamp_min(1)
    right_M = torch.bincount(bin_N, right_N, minlength=bins) / count_M.clamp_min(1)
    ece = (count_M * (sure_M - right_M).abs()).sum() / count_M.sum().clamp_min(1)
    return {
        "ece": float(ece),
        "count": [int(count) for count in count_M],
        "confidence": sure_M.tolist(),
        "accuracy": right_M.tolist(),
        "images": len(pairs_N2),
    }
