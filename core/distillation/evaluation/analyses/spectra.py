"""Eigenvalues and effective ranks of the joint covariance and of the Gram matrix, over a fixed number of test images."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.attacked import attacked, batches, networks
from core.distillation.evaluation.analyses.variance_gap import seen
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.subject import Subject
from core.distillation.statistics.covariance import covariance, effective_rank
from core.distillation.statistics.gram import gram
from core.distillation.views import convolutions_in, mode
from core.spec.evaluation import Spectra

IMAGES = 512
KEPT = 256
"""Eigenvalues of each matrix, the largest."""


def spectra(settings: Spectra, subject: Subject, state: dict[str, Any] | None = None) -> Iterator[Step | Finding]:
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
        features, probabilities, adversarial, adversarial_probabilities = (
            torch.cat(part).double().cpu() for part in zip(*parts, strict=True)
        )
        matrices = {
            "features": covariance(features, adversarial),
            "gram": gram(probabilities, adversarial_probabilities),
        }
        data[name] = {kind: spectrum(matrix) for kind, matrix in matrices.items()}
    values = {f"effective_rank_{kind}": data["network"][kind]["effective_rank"] for kind in ("features", "gram")}
    yield Finding(None, values=values, data=data)


def spectrum(matrix: Tensor) -> dict[str, Any]:
    eigenvalues = torch.linalg.eigvalsh(matrix).flip(0).clamp_min(0)
    return {"effective_rank": float(effective_rank(matrix)), "eigenvalues": eigenvalues[:KEPT].tolist()}
