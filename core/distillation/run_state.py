"""The state of a run beside its networks and optimizer: what a checkpoint holds as JSON and as named tensors."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict
from torch import Tensor

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


@dataclass(frozen=True)
class MeasurementInProgress:
    """A measure that is under way."""

    __pydantic_config__: ClassVar = STRICT
    network: str
    name: str
    seconds: float
    """Spent on it so far."""
    state: dict[str, Any]
    """What it goes on from."""


@dataclass
class RunState:
    """Where a job stands, beside its networks and optimizer."""

    __pydantic_config__: ClassVar = STRICT
    step: int = 0
    """Training steps done."""
    saves: int = 0
    """Checkpoints written, this one included: no two of a job's have one name."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One entry for each epoch that is complete and judged."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums over the steps of the present epoch."""
    best_epoch: int | None = None
    best_score: tuple[float, float] = (-1.0, -1.0)
    best: dict[str, Tensor] = field(default_factory=dict)
    """The best student's weights so far."""
    average: dict[str, Tensor] = field(default_factory=dict)
    """The average of the student's weights so far, where one is kept."""
    averaged: int = 0
    """How many weights are in it."""
    measured: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Results of the final evaluation that are complete, by network and measure."""
    measuring: MeasurementInProgress | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent so far, over all attempts, by phase."""
    joules: dict[str, float | None] = field(default_factory=dict)
    """Energy taken so far, over all attempts, by phase; None where any of it is not known."""
