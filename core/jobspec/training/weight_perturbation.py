"""Adversarial perturbation of the student's weights, beside any method."""

from typing import ClassVar

from pydantic import Field

from core.jobspec.base import EpochCount, Spec


class AwpSettings(Spec):
    """Adversarial weight perturbation (Wu et al., NeurIPS 2020).

    Gradients are taken at the weights within the radius where the loss is largest.
    """

    gamma: float = Field(default=0.005, gt=0, le=1)
    """Radius of the perturbation, relative to the norm of each weight tensor."""
    begin: EpochCount = 0
    """Epochs of training before the perturbation begins."""

    loss_passes: ClassVar[int] = 2
    """Passes that each training step has in addition to the method's own."""
