"""Cheap checks for masked gradients, which every evaluation makes.

The first two are those of AutoAttack's authors (Croce and Hein, 2020), the third is from Athalye et
al. (ICML 2018). B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation import seeds
from core.distillation.evaluation.analyses.adversarial_batches import batches, pgd20_images
from core.distillation.evaluation.attacks import is_correct
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.evaluation import GRADIENT_CHECK_IMAGES, GradientChecks

LARGE_RADIUS = 0.5
"""Within it every pixel can become gray, so that no network can tell the images apart."""
MAX_OUTPUT_CHANGE = 1e-3
"""Between two passes of the same images, relative to the largest logit: rounding is far smaller."""


def gradient_checks(
    target: EvaluationTarget, settings: GradientChecks, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Count images without a gradient; try a large radius and a second pass on some images.

    These are spread evenly: many data sets have their images class by class.
    """
    state = resume_state(state, end=0, zero_gradients=0, large=0, output_change=0.0)
    with network_mode(target.network, "eval"), convolution_precision("fp32"):
        for end, images_BCHW, labels_B in batches(target, state["end"]):
            counts = _check_batch(target, images_BCHW, labels_B, end)
            state = {
                "end": end,
                "zero_gradients": state["zero_gradients"] + counts["zero_gradients"],
                "large": state["large"] + counts["large"],
                "output_change": max(state["output_change"], counts["output_change"]),
            }
            yield Step(end, len(target.images), state)
    yield finding(target, state)


def _check_batch(
    target: EvaluationTarget, images_BCHW: Tensor, labels_B: Tensor, end: int
) -> dict[str, Any]:
    network = target.network
    generator = seeds.generator(images_BCHW.device, target.seed, "gradient_checks", end)
    noise_BCHW = torch.empty_like(images_BCHW)
    noise_BCHW.uniform_(-target.radius, target.radius, generator=generator)
    start_BCHW = (images_BCHW + noise_BCHW).clamp(0, 1)
    zero_B = has_zero_gradient(network, start_BCHW, labels_B)
    counts = {"zero_gradients": int(zero_B.sum()), "large": 0, "output_change": 0.0}
    chosen_B = is_checked(torch.arange(end - len(labels_B), end), len(target.images))
    if chosen_B.any():
        chosen_B = chosen_B.to(labels_B.device)
        images_BCHW = images_BCHW[chosen_B]
        labels_B = labels_B[chosen_B]
        large_BCHW = pgd20_images(
            network, target, images_BCHW, labels_B, end, "gradient_checks", LARGE_RADIUS
        )
        counts["large"] = int(is_correct(network, large_BCHW, labels_B).sum())
        counts["output_change"] = relative_output_change(network, images_BCHW)
    return counts


def is_checked(indices_B: Tensor, images: int) -> Tensor:
    """Return which of ``images`` are tried at the large radius, [B] bool: every n-th, up to 128."""
    return indices_B % -(-images // GRADIENT_CHECK_IMAGES) == 0


def has_zero_gradient(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
    """Return for which images the cross entropy's gradient is zero at every pixel, [B] bool."""
    with torch.enable_grad():
        images_BCHW = images_BCHW.detach().requires_grad_()
        loss = cross_entropy(network(images_BCHW), labels_B, reduction="sum")
        (gradient_BCHW,) = torch.autograd.grad(loss, images_BCHW)
    return (gradient_BCHW == 0).flatten(1).all(dim=1)


def relative_output_change(network: Classifier, images_BCHW: Tensor) -> float:
    """Return how much the logits of a second pass differ, relative to the largest logit.

    Logits that are not finite count as no change: they are a warning of their own.
    """
    with torch.no_grad():
        first_BK = network(images_BCHW)
        second_BK = network(images_BCHW)
    if not (first_BK.isfinite().all() and second_BK.isfinite().all()):
        return 0.0
    largest = max(float(first_BK.abs().max()), 1e-30)
    return float((first_BK - second_BK).abs().max()) / largest


def finding(target: EvaluationTarget, state: MeasureState) -> Finding:
    images = len(target.images)
    labels_N = target.images.labels_N.cpu()[is_checked(torch.arange(images), images)]
    most_frequent = int(torch.bincount(labels_N).max())
    results = checks(state, images, len(labels_N), most_frequent)
    warnings = [check["sentence"] for check in results if not check["passed"]]
    data = {
        "checks": results,
        "warnings": warnings,
        "images": images,
        "zero_gradients": state["zero_gradients"],
        "large_radius": LARGE_RADIUS,
    }
    return Finding(None, data=data)


def checks(
    state: MeasureState, images: int, checked: int, most_frequent: int
) -> list[dict[str, Any]]:
    """Return each check: its name, whether it passed, and the warning if it did not.

    ``most_frequent``: how many of the ``checked`` images have the most frequent label, which a
    network that always gives the same answer has correct at any radius.
    """
    results = {
        "zero_gradients": (
            state["zero_gradients"] == 0,
            f"For {state['zero_gradients']} of {images} images the gradient of the loss is exactly "
            "zero: an attack that follows gradients cannot move them, so that accuracies under "
            "such attacks may be far too high.",
        ),
        "random_outputs": (
            state["output_change"] <= MAX_OUTPUT_CHANGE,
            "The network's logits for the same images differ from pass to pass, by "
            f"{100 * state['output_change']:.2g} % of the largest: attacks that see one draw "
            "underestimate how often a random network can be fooled.",
        ),
        "large_radius": (
            state["large"] <= most_frequent,
            f"Under L∞, {LARGE_RADIUS}, where every image can become gray, PGD-20 leaves "
            f"{state['large']} of {checked} images correct, more than the {most_frequent} of the "
            "most frequent class: the attack is misled.",
        ),
    }
    return [
        {"name": name, "passed": passed, "sentence": sentence}
        for name, (passed, sentence) in results.items()
    ]
