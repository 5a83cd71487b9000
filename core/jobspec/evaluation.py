"""How robustness is measured: on test images, in fp32, with seeded random starts."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from core.jobspec.base import PixelDistance, Radius, Spec

SELECTION_STEPS = 10
"""PGD steps on held-out images, by which the best checkpoint is chosen."""
ANALYSIS_STEPS = 20
"""Steps of the PGD attack that most analyses use."""
GRADIENT_CHECK_IMAGES = 128
"""Images, at most, on which the gradient checks try a large radius and a second pass."""

Stage = Literal["apgd-ce", "apgd-t", "fab-t", "square"]
STANDARD_STAGES: tuple[Stage, ...] = ("apgd-ce", "apgd-t", "fab-t", "square")
STANDARD_QUERIES = 5000
STANDARD_ITERATIONS = 100
GRADIENTS_PER_ITERATION: dict[Stage, int] = {"apgd-ce": 1, "apgd-t": 9, "fab-t": 9, "square": 0}
"""One for each target; Square needs none."""

SweepRadii = Annotated[tuple[PixelDistance, ...], Field(strict=False, min_length=2, max_length=64)]
GapRadii = Annotated[tuple[PixelDistance, ...], Field(strict=False, min_length=1, max_length=64)]


class PgdAttack(Spec):
    """PGD, with its defaults PGD-20: gradient ascent on cross entropy from a uniform start."""

    name: Literal["pgd"] = "pgd"
    radius: PixelDistance | None = None
    """Perturbation radius. Default: the training adversary's."""
    step_size: PixelDistance | None = None
    """Length of each step. Default: a quarter of the radius, 2/255 at 8/255."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Number of steps, each followed by a projection onto the ball."""
    restarts: int = Field(default=1, ge=1, le=100)
    """Number of random starts. An image counts as robust only if it withstands all of them."""

    @property
    def network_passes(self) -> int:
        """Passes of the network on one image."""
        return self.steps * self.restarts + 1


class CwAttack(Spec):
    """CW-infinity: projected gradient ascent on the margin loss from a uniform start."""

    name: Literal["cw"] = "cw"
    radius: PixelDistance | None = None
    """Perturbation radius. Default: the training adversary's."""
    step_size: PixelDistance | None = None
    """Length of each step. Default: 0.003 at radius 8/255, in proportion elsewhere."""
    steps: int = Field(default=30, ge=1, le=10_000)
    """Number of steps, each followed by a projection onto the ball."""
    confidence: float = Field(default=50.0, ge=0, le=1e6)
    """Margin by which a wrong class is to lead. The loss is constant beyond it."""

    @property
    def network_passes(self) -> int:
        """Passes of the network on one image."""
        return self.steps + 1


class AutoAttack(Spec):
    """AutoAttack (Croce and Hein, ICML 2020).

    With its defaults it is the standard version, whose numbers can be compared with published ones.
    """

    name: Literal["autoattack"] = "autoattack"
    norm: Literal["linf", "l2"] = "linf"
    """Norm of the perturbation: L-infinity or L2."""
    radius: Radius | None = None
    """Perturbation radius, on pixels in [0, 1]; in L2, of the whole image. Default: the training
    adversary's. L2 has no default."""
    stages: tuple[Stage, ...] = Field(
        default=STANDARD_STAGES, strict=False, min_length=1, max_length=4
    )
    """Attacks, in order. Each gets the images that are still classified correctly."""
    queries: int = Field(default=STANDARD_QUERIES, ge=1, le=100_000)
    """Queries of Square for each image."""
    iterations: int = Field(default=STANDARD_ITERATIONS, ge=2, le=10_000)
    """Iterations of APGD and FAB."""

    @model_validator(mode="after")
    def _check_radius_and_stages(self) -> "AutoAttack":
        if self.norm == "l2" and self.radius is None:
            raise ValueError(
                "AutoAttack in L2 needs a radius, such as 0.5: "
                "the training adversary's is in another norm"
            )
        if self.norm == "linf" and self.radius is not None and self.radius > 1:
            raise ValueError("a radius in L-infinity is at most 1: pixels are in [0, 1]")
        if len(set(self.stages)) < len(self.stages):
            raise ValueError("a stage is listed twice")
        return self

    @property
    def is_standard(self) -> bool:
        return (
            self.stages == STANDARD_STAGES
            and self.queries == STANDARD_QUERIES
            and self.iterations == STANDARD_ITERATIONS
        )

    @property
    def network_passes(self) -> int:
        """Passes of the network on one image that withstands every stage."""
        gradients = sum(GRADIENTS_PER_ITERATION[stage] for stage in self.stages) * self.iterations
        return gradients + (self.queries if "square" in self.stages else 0)


Attack = Annotated[PgdAttack | CwAttack | AutoAttack, Field(discriminator="name")]


class RadiusSweep(Spec):
    """Robust accuracy under PGD at many radii (Fig. 3b of the STARSHIP paper)."""

    name: Literal["radius_sweep"] = "radius_sweep"
    radii: SweepRadii | None = None
    """Perturbation radii. Default: 17 equally spaced radii from 0 to twice the training adversary's
    (0, 1/255, ..., 16/255 at 8/255)."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Steps of PGD at each radius."""


class VarianceGap(Spec):
    """Change of variances under attack, in %, against robust accuracy (Figs. 1 and 5).

    The mean over channels of |var_adv - var_clean| / var_clean under PGD-20, of features and of
    Gram matrices, for the network and its reference, at several radii; with the fitted line and
    Pearson's r.
    """

    name: Literal["variance_gap"] = "variance_gap"
    radii: GapRadii | None = None
    """Perturbation radii. Default: 8 equally spaced radii up to twice the training adversary's
    (2/255, 4/255, ..., 16/255 at 8/255)."""


class Spectra(Spec):
    """Eigenvalues and effective ranks of joint covariance and Gram matrix, of both networks."""

    name: Literal["spectra"] = "spectra"

    network_passes: ClassVar[int] = 0
    """It uses a few images only."""


class GradCam(Spec):
    """Grad-CAM maps of clean and adversarial images, beside the reference's (Fig. 4)."""

    name: Literal["grad_cam"] = "grad_cam"
    images: int = Field(default=8, ge=1, le=64)
    """Number of images: the first of each class, then more from the beginning."""

    network_passes: ClassVar[int] = 0
    """It uses a few images only."""


class Calibration(Spec):
    """Expected calibration error on clean images and under PGD-20."""

    name: Literal["calibration"] = "calibration"
    bins: int = Field(default=15, ge=2, le=100)
    """Number of confidence bins of equal width."""

    network_passes: ClassVar[int] = ANALYSIS_STEPS + 2
    """Passes of the network on one image."""


class Transfer(Spec):
    """Accuracy on adversarial images that were made for the reference (PGD-20)."""

    name: Literal["transfer"] = "transfer"

    network_passes: ClassVar[int] = 2 * ANALYSIS_STEPS + 3
    """Passes of network and reference on one image."""


class GradientMasking(Spec):
    """Signs that gradients mislead attacks.

    Square finds more than APGD on cross entropy and on targets; images withstand a large radius;
    random noise does more than PGD.
    """

    name: Literal["gradient_masking"] = "gradient_masking"
    queries: int = Field(default=1000, ge=1, le=100_000)
    """Queries of Square for each image that is still classified correctly."""

    @property
    def network_passes(self) -> int:
        """Passes of the network on one image that withstands every attack."""
        return self.queries + 12 * ANALYSIS_STEPS


class Examples(Spec):
    """Adversarial examples: test images, their perturbations under PGD-20, and what network and
    reference predict.

    The attack is made for the network; both networks see the same images. Over all test images it
    counts how often both hold, only the network falls, only the reference falls, and both fall.
    """

    name: Literal["examples"] = "examples"
    count: int = Field(default=16, ge=1, le=32)
    """Number of images that are shown, spread over these four cases and over classes. Of large
    images fewer: they take 32 MB at most."""

    network_passes: ClassVar[int] = ANALYSIS_STEPS + 4
    """Passes of network and reference on one image."""


class GradientChecks(Spec):
    """Cheap checks for masked gradients. No spec names them: every evaluation makes them."""

    name: Literal["gradient_checks"] = "gradient_checks"

    network_passes: ClassVar[int] = 1
    """Passes of the network on one image, but for those on the first few."""


Analysis = Annotated[
    RadiusSweep
    | VarianceGap
    | Spectra
    | GradCam
    | Calibration
    | Transfer
    | GradientMasking
    | Examples,
    Field(discriminator="name"),
]

NEEDS_REFERENCE = frozenset({"transfer"})


class Evaluation(Spec):
    """What is measured, on how many test images, and how the best epoch is chosen."""

    attacks: tuple[Attack, ...] = Field(
        default=(PgdAttack(), CwAttack()), strict=False, max_length=8
    )
    """Attacks under which accuracy is measured. Clean accuracy always is."""
    analyses: tuple[Analysis, ...] = Field(default=(), strict=False, max_length=8)
    """Further analyses of the best checkpoint, beside the teacher where there is one."""
    limit: int | None = Field(default=None, ge=1, le=10_000_000)
    """Use at most this many test images. The report says so."""
    batch_size: int = Field(default=256, ge=1, le=8192)
    """Images that are attacked at once. Another size draws other random starts."""
    every_epochs: int = Field(default=1, ge=1, le=10_000)
    """Epochs between two measurements on held-out images (PGD-10), by which the best checkpoint is
    chosen. The last epoch is always measured."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of the attacks' random starts."""

    @model_validator(mode="after")
    def _check_analyses_are_unique(self) -> "Evaluation":
        names = [analysis.name for analysis in self.analyses]
        if len(set(names)) < len(names):
            raise ValueError("an analysis is listed twice")
        return self
