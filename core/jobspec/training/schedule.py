"""How long and at what rate the student is trained."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.jobspec.base import Spec


class OneCycle(Spec):
    """The rate rises to `learning_rate`, then falls to almost 0, along cosines.

    With `cycle_momentum`, momentum falls from 0.95 to 0.85 and rises back; the schedule's own
    `momentum` is not used.
    """

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(default=0.25, gt=0, lt=1)
    """Share of all steps in which the rate rises."""
    cycle_momentum: bool = True
    """Lower momentum while the rate rises, and raise it while the rate falls."""
    update: Literal["step", "epoch"] = "step"
    """How often rate and momentum change. epoch: they stay the same within an epoch, as if it were
    a single step."""


class Triangular(Spec):
    """The rate rises from 0 to `learning_rate`, then falls to 0, along straight lines.

    With `cycle_momentum`, momentum falls from 0.9 to 0.8 and rises back; the schedule's own
    `momentum` is not used.
    """

    name: Literal["triangular"] = "triangular"
    rise: float = Field(default=0.5, gt=0, lt=1)
    """Share of all steps in which the rate rises."""
    cycle_momentum: bool = True
    """Lower momentum while the rate rises, and raise it while the rate falls."""


class MultiStep(Spec):
    """The rate is multiplied by `factor` after each epoch of `milestones`."""

    name: Literal["multi_step"] = "multi_step"
    milestones: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(
        strict=False, min_length=1, max_length=20
    )
    """Epochs after which the rate changes."""
    factor: float = Field(default=0.1, gt=0, le=1)
    """Factor of each change."""


class Cosine(Spec):
    """The rate falls to 0 along half a cosine."""

    name: Literal["cosine"] = "cosine"


class Constant(Spec):
    """The rate does not change."""

    name: Literal["constant"] = "constant"


Decay = Annotated[
    OneCycle | Triangular | MultiStep | Cosine | Constant, Field(discriminator="name")
]


class Schedule(Spec):
    """Stochastic gradient descent. The incomplete last batch of an epoch is dropped."""

    epochs: int = Field(default=200, ge=1, le=10_000)
    """Passes over the training images."""
    batch_size: int = Field(default=128, ge=2, le=8192)
    """Images in each step. STARSHIP's statistics are taken over them."""
    learning_rate: float = Field(default=0.1, gt=0, le=100)
    """Highest rate of a one-cycle or triangular decay, first rate of the others."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD. A one-cycle or triangular decay has its own."""
    nesterov: bool = False
    """Use Nesterov momentum."""
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    """L2 penalty of all weights, including those of projection heads and batch norms."""
    batch_norm_weight_decay: float | None = Field(default=None, ge=0, le=1)
    """L2 penalty of batch norms' weights and biases. Default: that of all other weights."""
    max_gradient_norm: float | None = Field(default=None, gt=0, le=1e6)
    """Greatest L2 norm of all gradients together: longer gradients are scaled down to it before the
    optimizer's step. Default: gradients are not clipped."""
    decay: Decay = OneCycle()
    """How the learning rate changes over the training."""
    on_divergence: Literal["stop", "continue"] = "stop"
    """What happens to a training whose loss has grown beyond reason, or that has long done no
    better than guessing. stop: it ends; the job fails with advice, or publishes the best epoch's
    student if that one was better than guessing. continue: it goes on, with a warning."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Precision of training and of its adversary on CUDA. Reported evaluation is always fp32."""
    compile: bool = False
    """Run the networks through torch.compile in training. This pays off on CUDA in all but short
    jobs, and needs a C++ compiler."""
    checkpoint_seconds: float = Field(default=60.0, ge=0, le=86_400)
    """Least time between two checkpoints, in seconds. 0: a checkpoint after every step."""

    @model_validator(mode="after")
    def _check_nesterov_momentum(self) -> "Schedule":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self
