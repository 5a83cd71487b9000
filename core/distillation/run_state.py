"""The state of a job beside its networks and optimizer: the part of a checkpoint that is JSON.

Field names are the keys in checkpoints.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict
from torch import Tensor

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


@dataclass(frozen=True)
class MeasurementInProgress:
    """A measure that has begun and has no result yet."""

    __pydantic_config__: ClassVar = STRICT
    network: str
    """best, last, or model."""
    name: str
    """Of the measure."""
    seconds: float
    """Spent on it so far, over all attempts."""
    state: dict[str, Any]
    """From which the measure resumes."""


@dataclass
class RunState:
    """How far a job has got."""

    __pydantic_config__: ClassVar = STRICT
    step: int = 0
    """Completed training steps."""
    saves: int = 0
    """Checkpoints of the job so far, this one included; their names are numbered by it."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One entry per completed epoch: mean metrics and, where it was validated, accuracies."""
    sums: dict[str, float] = field(default_factory=dict)
    """Metrics of the current epoch, summed over its steps."""
    first_loss: float | None = None
    """The loss of the first step, before any update; None until it has been read."""
    warnings: list[dict[str, str]] = field(default_factory=list)
    """Code and message of what has gone wrong so far."""
    best_epoch: int | None = None
    """From 1; None until an epoch has been validated."""
    best_score: tuple[float, float] = (-1.0, -1.0)
    """Robust and clean held-out accuracy of the best epoch, in [0, 1]."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best epoch's student."""
    average: dict[str, Tensor] = field(default_factory=dict)
    """The average of the student's weights so far; empty without averaging."""
    averaged: int = 0
    """Updates of the average so far."""
    measured: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Complete results of the final evaluation, by network and measure."""
    measuring: MeasurementInProgress | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Time used so far, by phase, over all attempts."""
    joules: dict[str, float | None] = field(default_factory=dict)
    """Energy used so far, by phase, over all attempts; None if any of it is unknown."""
