"""Accuracy on adversarial images that were made for another network."""

from collections.abc import Iterator
from typing import Any

from core.distillation.evaluation.accuracy import accuracy
from core.distillation.evaluation.analyses.attacked import attacked, batches
from core.distillation.evaluation.attacks import correct
from core.distillation.evaluation.masks import mask, share, text
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.subject import Subject
from core.distillation.views import convolutions_in, mode
from core.spec.evaluation import Transfer


def transfer(settings: Transfer, subject: Subject, state: dict[str, Any] | None = None) -> Iterator[Step | Finding]:
    """PGD-20 against the reference. Raises ValueError where there is none."""
    if subject.reference is None:
        raise ValueError("A transfer attack needs a reference network to be made for.")
    state = state or {"standing": "", "reference": ""}
    standing, own = state["standing"], state["reference"]
    with mode(subject.network, "eval"), mode(subject.reference, "eval"), convolutions_in("fp32"):
        for end, images_BCHW, labels_B in batches(subject, len(standing)):
            adversarial_BCHW = attacked(subject.reference, subject, images_BCHW, labels_B, end, "transfer")
            standing += text(correct(subject.network, adversarial_BCHW, labels_B))
            own += text(correct(subject.reference, adversarial_BCHW, labels_B))
            yield Step(end, len(subject.images), {"standing": standing, "reference": own})
    found = accuracy(mask(standing), subject.images.labels_N.cpu(), subject.classes)
    yield Finding(found.value, data={**found.data, "reference_accuracy": share(own)})
