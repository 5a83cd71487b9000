"""What is done to the student's weights beside descending: averaging them, and perturbing them. Goes with any method."""

from typing import Annotated, Literal

from pydantic import Field

from core.jobspec.base import EpochCount, Spec


class EmaSettings(Spec):
    """Exponential moving average: after every step, average = decay * average + (1 - decay) * weights."""

    name: Literal["ema"] = "ema"
    decay: float = Field(default=0.995, gt=0, lt=1)
    """The average's memory is 1 / (1 - decay) steps; in the first steps it is shorter."""


class SwaSettings(Spec):
    """Stochastic weight averaging: the plain mean of the weights after every epoch from `begin` on."""

    name: Literal["swa"] = "swa"
    begin: EpochCount | None = None
    """Epochs before the first that counts. Default: three quarters of all."""


AveragingSettings = Annotated[EmaSettings | SwaSettings, Field(discriminator="name")]


class AwpSettings(Spec):
    """Adversarial weight perturbation (Wu et al., NeurIPS 2020): gradients are taken where a small perturbation of the
    student's weights makes the loss largest."""

    gamma: float = Field(default=0.005, gt=0, le=1)
    """Radius of the perturbation, relative to each weight tensor's norm."""
    begin: int = Field(default=0, ge=0, le=10_000)
    """Epochs without it at first."""
