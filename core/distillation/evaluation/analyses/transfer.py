"""Accuracy on adversarial images that were made for another network, beside the accuracy on those made for the network itself."""

from collections.abc import Iterator
from typing import Any

from core.distillation.evaluation.accuracy import accuracy
from core.distillation.evaluation.analyses.attacked import attacked, batches
from core.distillation.evaluation.attacks import correct
from core.distillation.evaluation.masks import mask, share, text
from core.distillation.evaluation.steps import Finding, Step, begun
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.forward import convolutions_in, mode
from core.jobspec.evaluation import Transfer


def transfer(
    settings: Transfer, subject: EvaluationTarget, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    """PGD-20 against the reference, and against the network. Raises ValueError where there is no reference.

    State and data have the images that stand: the network's under either attack, the reference's under its own.
    """
    if subject.reference is None:
        raise ValueError("A transfer attack needs a reference network to be made for.")
    network, reference = subject.network, subject.reference
    standing = begun(state, transferred="", own="", reference="")
    with mode(network, "eval"), mode(reference, "eval"), convolutions_in("fp32"):
        for end, images_BCHW, labels_B in batches(subject, len(standing["transferred"])):
            theirs_BCHW = attacked(reference, subject, images_BCHW, labels_B, end, "transfer")
            ours_BCHW = attacked(network, subject, images_BCHW, labels_B, end, "transfer")
            found = {
                "transferred": correct(network, theirs_BCHW, labels_B),
                "own": correct(network, ours_BCHW, labels_B),
                "reference": correct(reference, theirs_BCHW, labels_B),
            }
            standing = {
                name: standing[name] + text(standing_B) for name, standing_B in found.items()
            }
            yield Step(end, len(subject.images), standing)
    yield finding(standing, subject)


def finding(standing: dict[str, str], subject: EvaluationTarget) -> Finding:
    found = accuracy(mask(standing["transferred"]), subject.images.labels_N.cpu(), subject.classes)
    assert found.value is not None
    own = share(standing["own"])
    warnings = []
    if found.value < own:
        warnings.append(
            f"Images made for the reference leave {100 * found.value:.2f} % standing, images made for the network itself "
            f"{100 * own:.2f} %: its own gradients mislead the attack."
        )
    data = {
        "own_accuracy": own,
        "reference_accuracy": share(standing["reference"]),
        "warnings": warnings,
    }
    return Finding(found.value, data={**found.data, **data})
