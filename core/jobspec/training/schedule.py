"""How long and how fast the student is trained."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.jobspec.base import Spec


class OneCycle(Spec):
    """Up to `learning_rate` in the first `rise` of all steps, then down to almost 0, by cosines.

    With `cycle_momentum` momentum goes the other way, from 0.95 to 0.85 and back, and the schedule's own is not used.
    """

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(default=0.25, gt=0, lt=1)
    """Share of all steps in which the rate rises."""
    cycle_momentum: bool = True
    """Let momentum run against the rate."""


class MultiStep(Spec):
    """Multiply the rate by `factor` after each epoch of `milestones`."""

    name: Literal["multi_step"] = "multi_step"
    milestones: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(
        strict=False, min_length=1, max_length=20
    )
    """Epochs after which the rate falls."""
    factor: float = Field(default=0.1, gt=0, le=1)
    """What it is multiplied by."""


class Cosine(Spec):
    """Down to 0 by half a cosine."""

    name: Literal["cosine"] = "cosine"


class Constant(Spec):
    """The rate stays as it is."""

    name: Literal["constant"] = "constant"


Decay = Annotated[OneCycle | MultiStep | Cosine | Constant, Field(discriminator="name")]


class Schedule(Spec):
    """Stochastic gradient descent; the last, incomplete batch of an epoch is left out."""

    epochs: int = Field(default=200, ge=1, le=10_000)
    """Passes over the training images."""
    batch_size: int = Field(default=128, ge=2, le=8192)
    """Images in each step; the statistics of STARSHIP are taken over them."""
    learning_rate: float = Field(default=0.1, gt=0, le=100)
    """The highest that the decay reaches, or begins with."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of the last step in the next. A one-cycle decay has its own."""
    nesterov: bool = False
    """Look ahead along the momentum before the gradient is taken."""
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    """L2 penalty of all weights, heads and batch norms included."""
    decay: Decay = OneCycle()
    """How the learning rate changes over the training."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Of training and its adversary, on CUDA. Reported evaluation is always fp32."""
    compile: bool = False
    """Send the networks' passes in training through torch.compile: pays on CUDA in all but short jobs; needs a C++ compiler."""
    checkpoint_seconds: float = Field(default=60.0, ge=0, le=86_400)
    """A checkpoint is written after the first step that ends so long after the last one; 0: after every step."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Schedule":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self
