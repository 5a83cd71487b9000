"""Eigenvalues and effective ranks of the joint covariance and of the Gram matrix.

N images, D features, K classes.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation.evaluation.analyses.adversarial_batches import (
    batches,
    networks,
    pgd20_images,
)
from core.distillation.evaluation.analyses.network_outputs import (
    features_and_probabilities,
    finite_in_all,
    omission_warnings,
)
from core.distillation.evaluation.steps import Finding, MeasureState, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.network_modes import convolution_precision, network_mode
from core.distillation.statistics.covariance import covariance, effective_rank
from core.distillation.statistics.gram import gram
from core.jobspec.evaluation import Spectra

MAX_IMAGES = 512
MAX_EIGENVALUES = 256
"""In the report, of each matrix: the largest."""


def spectra(
    target: EvaluationTarget, settings: Spectra, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Compute spectra over the first 512 test images, of the backbone's features, not a head's.

    Resuming starts anew: the state is empty.
    """
    data: dict[str, Any] = {"images": min(MAX_IMAGES, len(target.images))}
    targets = networks(target)
    for number, (name, network) in enumerate(targets.items()):
        outputs: list[tuple[Tensor, ...]] = []
        with network_mode(network, "eval"), convolution_precision("fp32"):
            for end, images_BCHW, labels_B in batches(target, limit=MAX_IMAGES):
                adversarial_BCHW = pgd20_images(
                    network, target, images_BCHW, labels_B, end, "spectra"
                )
                clean = features_and_probabilities(network, images_BCHW)
                adversarial = features_and_probabilities(network, adversarial_BCHW)
                outputs.append((*clean, *adversarial))
                yield Step(number * data["images"] + end, len(targets) * data["images"], {})
        columns = zip(*outputs, strict=True)
        data[name] = spectra_of_outputs(*(torch.cat(column).double().cpu() for column in columns))
    ranks = {
        f"effective_rank_{kind}": data["network"][kind]["effective_rank"]
        for kind in ("features", "gram")
    }
    data["warnings"] = omission_warnings(max(data[name]["images_left_out"] for name in targets))
    values = {name: rank for name, rank in ranks.items() if rank is not None}
    yield Finding(None, values=values, data=data)


def spectra_of_outputs(
    features_ND: Tensor, probabilities_NK: Tensor, adversarial_ND: Tensor, adversarial_NK: Tensor
) -> dict[str, Any]:
    """Compute the spectra of the images whose outputs are all finite, clean and adversarial."""
    finite_N = finite_in_all(features_ND, probabilities_NK, adversarial_ND, adversarial_NK)
    return {
        "features": spectrum(covariance(features_ND[finite_N], adversarial_ND[finite_N])),
        "gram": spectrum(gram(probabilities_NK[finite_N], adversarial_NK[finite_N])),
        "images_left_out": int((~finite_N).sum()),
    }


def spectrum(matrix: Tensor) -> dict[str, Any]:
    """Return effective rank and largest eigenvalues of a symmetric matrix."""
    if not matrix.numel() or not matrix.isfinite().all():  # every image was left out
        return {"effective_rank": None, "eigenvalues": []}
    eigenvalues = torch.linalg.eigvalsh(matrix).flip(0).clamp_min(0)
    return {
        "effective_rank": float(effective_rank(matrix)),
        "eigenvalues": eigenvalues[:MAX_EIGENVALUES].tolist(),
    }
