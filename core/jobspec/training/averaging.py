"""Averaging of the student's weights over its training, beside any method."""

from typing import Annotated, Literal

from pydantic import Field

from core.jobspec.base import EpochCount, Spec


class EmaSettings(Spec):
    """Exponential moving average: decay * average + (1 - decay) * weights, after each step."""

    name: Literal["ema"] = "ema"
    decay: float = Field(default=0.995, gt=0, lt=1)
    """Share of the average that each step keeps: about 1 / (1 - decay) steps are averaged, fewer
    in the beginning."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps before the averaging begins: until then the average is the student."""


class SwaSettings(Spec):
    """Stochastic weight averaging: the mean of the weights after each epoch, from `begin` on."""

    name: Literal["swa"] = "swa"
    begin: EpochCount | None = None
    """Epochs before the first that is averaged. Default: three quarters of all epochs."""


AveragingSettings = Annotated[EmaSettings | SwaSettings, Field(discriminator="name")]
