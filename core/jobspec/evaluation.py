"""How robustness is measured: on test images, in fp32, every random start seeded."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.jobspec.base import PixelDistance, Radius, Spec

SELECTION_STEPS = 10
"""PGD steps on held-out images, by which the best checkpoint is chosen."""

Stage = Literal["apgd-ce", "apgd-t", "fab-t", "square"]
STANDARD_STAGES: tuple[Stage, ...] = ("apgd-ce", "apgd-t", "fab-t", "square")
STANDARD_QUERIES = 5000


SweepRadii = Annotated[
    tuple[PixelDistance, ...], Field(strict=False, min_length=2, max_length=64)
]
GapRadii = Annotated[tuple[PixelDistance, ...], Field(strict=False, min_length=1, max_length=64)]


class PgdAttack(Spec):
    """PGD-20: cross entropy, uniform start."""

    name: Literal["pgd"] = "pgd"
    radius: PixelDistance | None = None
    """Default: the training adversary's."""
    step_size: PixelDistance | None = None
    """Default: a quarter of the radius, 2/255 at 8/255."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Of gradient ascent, each projected onto the ball."""
    restarts: int = Field(default=1, ge=1, le=100)
    """Random starts; an image survives if it survives them all."""


class CwAttack(Spec):
    """CW-infinity: projected ascent on the margin loss with a confidence, from the clean image plus a uniform start."""

    name: Literal["cw"] = "cw"
    radius: PixelDistance | None = None
    """Default: the training adversary's."""
    step_size: PixelDistance | None = None
    """Default: 0.003 at 8/255, in proportion elsewhere."""
    steps: int = Field(default=30, ge=1, le=10_000)
    """Of gradient ascent, each projected onto the ball."""
    confidence: float = Field(default=50.0, ge=0, le=1e6)
    """The wrong logit is pushed above the right one until it leads by so much."""


class AutoAttack(Spec):
    """AutoAttack (Croce and Hein, 2020); with its defaults the standard version, whose numbers can be compared with others'."""

    name: Literal["autoattack"] = "autoattack"
    norm: Literal["linf", "l2"] = "linf"
    """Of the perturbation: L-infinity, or L2."""
    radius: Radius | None = None
    """On pixels in [0, 1]; of the whole image in L2. Default: the training adversary's; L2 needs one of its own."""
    stages: tuple[Stage, ...] = Field(
        default=STANDARD_STAGES, strict=False, min_length=1, max_length=4
    )
    """In this order, each on the images that are still classified correctly."""
    queries: int = Field(default=STANDARD_QUERIES, ge=1, le=100_000)
    """Of Square, for each image."""
    iterations: int = Field(default=100, ge=2, le=10_000)
    """Of APGD and FAB."""

    @model_validator(mode="after")
    def _radius_of_its_norm(self) -> "AutoAttack":
        if self.norm == "l2" and self.radius is None:
            raise ValueError(
                "AutoAttack in L2 needs a radius, such as 0.5: the training adversary's is of another norm"
            )
        if self.norm == "linf" and self.radius is not None and self.radius > 1:
            raise ValueError("a radius in L-infinity is at most 1: pixels are in [0, 1]")
        if len(set(self.stages)) < len(self.stages):
            raise ValueError("a stage is named twice")
        return self

    @property
    def is_standard(self) -> bool:
        return (
            self.stages == STANDARD_STAGES
            and self.queries == STANDARD_QUERIES
            and self.iterations == 100
        )


Attack = Annotated[PgdAttack | CwAttack | AutoAttack, Field(discriminator="name")]


class RadiusSweep(Spec):
    """Robust accuracy under PGD at many radii (Fig. 3b of the paper)."""

    name: Literal["radius_sweep"] = "radius_sweep"
    radii: SweepRadii | None = None
    """Default: from 0 to twice the training adversary's in 16 equal steps: 0, 1/255, ..., 16/255 at 8/255."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Of PGD, at each radius."""


class VarianceGap(Spec):
    """How much variances of features and of Gram matrices change under attack, in %, against robust accuracy (Figs. 1 and 5).

    Mean over channels of |var_adv - var_clean| / var_clean under PGD-20, for the network and for the reference beside it, at
    the training adversary's radius and at others; with the fitted line and its r.
    """

    name: Literal["variance_gap"] = "variance_gap"
    radii: GapRadii | None = None
    """Default: up to twice the training adversary's in 8 equal steps: 2/255, 4/255, ..., 16/255 at 8/255."""


class Spectra(Spec):
    """Eigenvalues and effective rank of the joint covariance and of the Gram matrix, network and reference."""

    name: Literal["spectra"] = "spectra"


class GradCam(Spec):
    """What the network looks at, clean and attacked, beside the reference (Fig. 4)."""

    name: Literal["grad_cam"] = "grad_cam"
    images: int = Field(default=8, ge=1, le=64)
    """How many are looked at: the first of each class, as far as they go."""


class Calibration(Spec):
    """Expected calibration error, clean and under PGD-20."""

    name: Literal["calibration"] = "calibration"
    bins: int = Field(default=15, ge=2, le=100)
    """Of equal width, that images are sorted into by their confidence."""


class Transfer(Spec):
    """Accuracy on adversarial images that were made for the reference network (PGD-20). Needs a reference."""

    name: Literal["transfer"] = "transfer"


class GradientMasking(Spec):
    """Signs that gradients mislead: Square finds what APGD, on cross entropy and on targets, left; a large radius leaves images
    standing; or random noise does more than PGD."""

    name: Literal["gradient_masking"] = "gradient_masking"
    queries: int = Field(default=1000, ge=1, le=100_000)
    """Of Square, for each image that still stands."""


Analysis = Annotated[
    RadiusSweep | VarianceGap | Spectra | GradCam | Calibration | Transfer | GradientMasking,
    Field(discriminator="name"),
]

NEEDS_REFERENCE = frozenset({"transfer"})


class Evaluation(Spec):
    """What is measured, on how many test images, and how the best epoch is chosen."""

    attacks: tuple[Attack, ...] = Field(
        default=(PgdAttack(), CwAttack()), strict=False, max_length=8
    )
    """Beside the clean accuracy, which is always measured."""
    analyses: tuple[Analysis, ...] = Field(default=(), strict=False, max_length=8)
    """Beyond accuracies; of the best checkpoint, beside the teacher where there is one."""
    limit: int | None = Field(default=None, ge=1, le=10_000_000)
    """Use only so many test images (the report says so)."""
    batch_size: int = Field(default=256, ge=1, le=8192)
    """Images that are attacked at once. Another size draws other random starts."""
    every_epochs: int = Field(default=1, ge=1, le=10_000)
    """Held-out images are attacked (PGD-10) after every so many epochs, and after the last, to choose the best checkpoint."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Of the attacks' random starts."""

    @model_validator(mode="after")
    def _each_analysis_once(self) -> "Evaluation":
        names = [analysis.name for analysis in self.analyses]
        if len(set(names)) < len(names):
            raise ValueError("an analysis is asked for twice")
        return self
