"""How robust accuracy is measured: on test images, in fp32, on the best and the last checkpoint."""

from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import PixelDistance, Spec

SELECTION_STEPS = 10
"""PGD steps on held-out images, by which the best checkpoint is chosen."""


class PgdAttack(Spec):
    """PGD-20: cross entropy, uniform start."""

    name: Literal["pgd"] = "pgd"
    radius: PixelDistance | None = None
    """Default: the training adversary's."""
    step_size: PixelDistance | None = None
    """Default: a quarter of the radius, 2/255 at 8/255."""
    steps: int = Field(default=20, ge=1, le=10_000)
    restarts: int = Field(default=1, ge=1, le=100)


class CwAttack(Spec):
    """CW-infinity: projected ascent on the margin loss with a confidence, from the clean image plus a uniform start."""

    name: Literal["cw"] = "cw"
    radius: PixelDistance | None = None
    """Default: the training adversary's."""
    step_size: PixelDistance | None = None
    """Default: 0.003 at 8/255, in proportion elsewhere."""
    steps: int = Field(default=30, ge=1, le=10_000)
    confidence: float = Field(default=50.0, ge=0, le=1e6)


Attack = Annotated[PgdAttack | CwAttack, Field(discriminator="name")]


class Evaluation(Spec):
    attacks: tuple[Attack, ...] = Field(default=(PgdAttack(), CwAttack()), strict=False, max_length=8)
    """Beside the clean accuracy, which is always measured."""
    limit: int | None = Field(default=None, ge=1, le=10_000_000)
    """Use only so many test images (the report says so)."""
    batch_size: int = Field(default=256, ge=1, le=8192)
    every_epochs: int = Field(default=1, ge=1, le=10_000)
    """Held-out images are attacked (PGD-10) after every so many epochs, and after the last, to choose the best checkpoint."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Of the attacks' random starts."""
