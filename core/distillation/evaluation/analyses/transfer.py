"""Accuracy under adversarial images made for the reference network, and under the network's own."""

from collections.abc import Iterator

from core.distillation.evaluation.accuracy import accuracy_finding
from core.distillation.evaluation.analyses.adversarial_batches import batches, pgd20_images
from core.distillation.evaluation.attacks import is_correct
from core.distillation.evaluation.masks import mask_to_text, share_of_ones, text_to_mask
from core.distillation.evaluation.steps import Finding, MeasureState, Step, resume_state
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.evaluation import Transfer
from core.reportspec.threat_model import ThreatModel


def transfer(
    target: EvaluationTarget, settings: Transfer, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Attack with PGD-20 made for the reference, and with PGD-20 made for the network.

    The state has masks of the images that stay correct: the network's under the reference's
    adversarial images (``transferred``) and under its ``own``, the ``reference``'s under its own.
    Raises ValueError without a reference.
    """
    if target.reference is None:
        raise ValueError("A transfer attack needs a reference network.")
    network = target.network
    reference = target.reference
    masks = resume_state(state, transferred="", own="", reference="")
    with (
        network_mode(network, "eval"),
        network_mode(reference, "eval"),
        convolution_precision("fp32"),
    ):
        for end, images_BCHW, labels_B in batches(target, len(masks["transferred"])):
            # The attack's seed is the same for both networks, so they share their random starts.
            transferred_BCHW = pgd20_images(
                reference, target, images_BCHW, labels_B, end, "transfer"
            )
            own_BCHW = pgd20_images(network, target, images_BCHW, labels_B, end, "transfer")
            correct = {
                "transferred": is_correct(network, transferred_BCHW, labels_B),
                "own": is_correct(network, own_BCHW, labels_B),
                "reference": is_correct(reference, transferred_BCHW, labels_B),
            }
            masks = {name: masks[name] + mask_to_text(mask_B) for name, mask_B in correct.items()}
            yield Step(end, len(target.images), masks)
    yield finding(masks, target)


def finding(masks: dict[str, str], target: EvaluationTarget) -> Finding:
    correct_N = text_to_mask(masks["transferred"])
    transferred = accuracy_finding(correct_N, target.images.labels_N.cpu(), target.classes)
    accuracy = transferred.require_value()
    own_accuracy = share_of_ones(masks["own"])
    warnings = []
    if accuracy < own_accuracy:
        warnings.append(
            f"Accuracy is {100 * accuracy:.2f} % under adversarial images (PGD-20, "
            f"{ThreatModel('linf', target.radius).title}) made for the reference, "
            f"and {100 * own_accuracy:.2f} % under those made for the network itself: "
            "its own gradients mislead the attack."
        )
    data = {
        "own_accuracy": own_accuracy,
        "reference_accuracy": share_of_ones(masks["reference"]),
        "warnings": warnings,
    }
    return Finding(accuracy, data={**transferred.data, **data})
