"""How the training adversary searches for images. What it maximizes belongs to the method."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.jobspec.base import PixelDistance, Spec

AttackMode = Literal["eval", "train", "train_untracked"]


class PgdAdversarySettings(Spec):
    """Projected gradient ascent in the L-infinity ball."""

    name: Literal["pgd"] = "pgd"
    radius: PixelDistance = 8 / 255
    """Perturbation radius, on pixels in [0, 1]."""
    step_size: PixelDistance = 2 / 255
    """Length of each step along the sign of the gradient, on pixels in [0, 1]."""
    steps: int = Field(default=10, ge=1, le=1000)
    """Number of steps, each followed by a projection onto the ball."""
    start: Literal["gaussian", "uniform", "uniform_unclamped", "clean"] = "gaussian"
    """First iterate. gaussian: x + 0.001 N(0, 1); uniform: x + U(-radius, radius), clamped to
    [0, 1]; uniform_unclamped: the same, not clamped; clean: x."""
    student_mode: AttackMode = "eval"
    """Mode of the student during the attack, by which its batch norms normalize: eval by running
    statistics; train by those of the batch, and each of the attack's passes moves the running ones;
    train_untracked by those of the batch, and the running ones stay as they are."""

    @property
    def gradient_steps(self) -> int:
        """Gradients per image."""
        return self.steps


class NFgsmAdversarySettings(Spec):
    """N-FGSM: uniform noise, then one step along the sign of the gradient, without projection."""

    name: Literal["n_fgsm"] = "n_fgsm"
    radius: PixelDistance = 8 / 255
    """Perturbation radius, on pixels in [0, 1]."""
    step_factor: float = Field(default=1.0, gt=0, le=10)
    """Length of the step, in radii."""
    noise_factor: float = Field(default=2.0, ge=0, le=10)
    """The noise is U(-noise_factor * radius, noise_factor * radius)."""
    clamp_noise: bool = False
    """Clamp the noisy image to [0, 1] before its gradient is taken, as the authors' code does; the
    step is made from the clamped image."""
    student_mode: AttackMode = "eval"
    """Mode of the student during the attack, by which its batch norms normalize: eval by running
    statistics; train by those of the batch, and each of the attack's passes moves the running ones;
    train_untracked by those of the batch, and the running ones stay as they are."""

    gradient_steps: ClassVar[int] = 1
    """Gradients per image."""


AdversarySettings = Annotated[
    PgdAdversarySettings | NFgsmAdversarySettings, Field(discriminator="name")
]
