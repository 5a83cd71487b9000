"""Eigenvalues and effective ranks of the joint covariance and of the Gram matrix, over a fixed number of test images."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.attacked import attacked, batches, networks
from core.distillation.evaluation.analyses.variance_gap import finite, left_out, seen
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.forward import convolutions_in, mode
from core.distillation.statistics.covariance import covariance, effective_rank
from core.distillation.statistics.gram import gram
from core.jobspec.evaluation import Spectra

IMAGES = 512
KEPT = 256
"""Eigenvalues of each matrix, the largest."""


def spectra(
    settings: Spectra, subject: EvaluationTarget, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    """Of the first 512 test images; backbone features, not those behind a head."""
    data: dict[str, Any] = {"images": min(IMAGES, len(subject.images))}
    every = networks(subject)
    for number, (name, network) in enumerate(every.items()):
        parts: list[tuple[Tensor, ...]] = []
        with mode(network, "eval"), convolutions_in("fp32"):
            for end, images_BCHW, labels_B in batches(subject, limit=IMAGES):
                adversarial_BCHW = attacked(network, subject, images_BCHW, labels_B, end, "spectra")
                parts.append((*seen(network, images_BCHW), *seen(network, adversarial_BCHW)))
                yield Step(number * data["images"] + end, len(every) * data["images"], {})
        data[name] = of_views(
            *(torch.cat(part).double().cpu() for part in zip(*parts, strict=True))
        )
    ranks = {
        f"effective_rank_{kind}": data["network"][kind]["effective_rank"]
        for kind in ("features", "gram")
    }
    data["warnings"] = left_out(max(data[name]["images_left_out"] for name in every))
    yield Finding(
        None, values={name: rank for name, rank in ranks.items() if rank is not None}, data=data
    )


def of_views(
    features_ND: Tensor, probabilities_NK: Tensor, adversarial_ND: Tensor, adversarial_NK: Tensor
) -> dict[str, Any]:
    """Of the images whose views are all finite."""
    kept_N = finite(features_ND, probabilities_NK, adversarial_ND, adversarial_NK)
    return {
        "features": spectrum(covariance(features_ND[kept_N], adversarial_ND[kept_N])),
        "gram": spectrum(gram(probabilities_NK[kept_N], adversarial_NK[kept_N])),
        "images_left_out": int((~kept_N).sum()),
    }


def spectrum(matrix: Tensor) -> dict[str, Any]:
    if not matrix.numel() or not matrix.isfinite().all():  # no image is left
        return {"effective_rank": None, "eigenvalues": []}
    eigenvalues = torch.linalg.eigvalsh(matrix).flip(0).clamp_min(0)
    return {
        "effective_rank": float(effective_rank(matrix)),
        "eigenvalues": eigenvalues[:KEPT].tolist(),
    }
