"""How the training adversary searches the ball around an image. What it climbs belongs to the method."""

from typing import Annotated, Literal

from pydantic import Field

from core.jobspec.base import PixelDistance, Spec


class PgdSettings(Spec):
    """Projected gradient ascent in the L-infinity ball: `steps` steps of `step_size` along the gradient's sign."""

    name: Literal["pgd"] = "pgd"
    radius: PixelDistance = 8 / 255
    """Perturbation radius, on pixels in [0, 1]."""
    step_size: PixelDistance = 2 / 255
    """Of each step, in the same unit as the radius."""
    steps: int = Field(default=10, ge=1, le=1000)
    """Of gradient ascent, each projected onto the ball."""
    start: Literal["gaussian", "uniform", "clean"] = "gaussian"
    """gaussian: x + 0.001 N(0, 1); uniform: x + U(-radius, radius); clean: x."""
    student_mode: Literal["eval", "train"] = "eval"
    """The batch norm mode of the attacked network during the attack."""


class NFgsmSettings(Spec):
    """N-FGSM: uniform noise beyond the ball, one step of the gradient's sign, no projection onto the ball."""

    name: Literal["n_fgsm"] = "n_fgsm"
    radius: PixelDistance = 8 / 255
    """Perturbation radius, on pixels in [0, 1]."""
    step_factor: float = Field(default=1.0, gt=0, le=10)
    """The step, in radii."""
    noise_factor: float = Field(default=2.0, ge=0, le=10)
    """The noise is U(-noise_factor * radius, noise_factor * radius)."""
    student_mode: Literal["eval", "train"] = "eval"
    """The batch norm mode of the attacked network during the attack."""


AdversarySettings = Annotated[PgdSettings | NFgsmSettings, Field(discriminator="name")]
