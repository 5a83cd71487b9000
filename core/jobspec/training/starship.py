"""STARSHIP's settings, part by part, with every choice that the paper leaves open.

See docs/starship.md.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.jobspec.base import Spec

MAX_DEFAULT_DIMENSION = 128
"""Projected features unless the job says otherwise: wider than the student's own cost accuracy."""

HeadDimension = Annotated[int, Field(ge=2, le=2048)]


class FrobeniusSettings(Spec):
    """Squared Frobenius norm of the difference."""

    name: Literal["frobenius"] = "frobenius"


class PowerEuclideanSettings(Spec):
    """Squared Frobenius norm of the difference of matrix powers (Power-Euclidean, Pow-E).

    Dryden et al. (2009) divide it by gamma^2; here that factor belongs into the weight.
    """

    name: Literal["power_euclidean"] = "power_euclidean"
    gamma: float = Field(default=0.5, gt=0, le=1)
    """The exponent."""
    ridge: float = Field(default=1e-3, ge=1e-6, le=1)
    """ridge * trace / size is added to the diagonal."""


class MaxExpSettings(Spec):
    """Squared Frobenius norm of the difference after MaxExp.

    MaxExp of M is I - (I - M / (trace M + ridge))^eta.
    """

    name: Literal["max_exp"] = "max_exp"
    eta: int = Field(default=10, ge=1, le=1000)
    """The exponent: a higher one flattens the spectrum more."""
    ridge: float = Field(default=1e-6, ge=1e-12, le=1)
    """Added to the trace."""


class NormalKlSettings(Spec):
    """KL(N_teacher || N_student) of multivariate normals. Gram matrices have mean 0."""

    name: Literal["kl"] = "kl"
    ridge: float = Field(default=1e-3, ge=1e-6, le=1)
    """ridge * trace / size is added to the diagonal."""
    per_dimension: bool = True
    """Divide the divergence, in nats, by the size of the matrix, with which it grows."""


class NoDistance(Spec):
    """Covariances are not compared.

    Only the cosine of Eq. 7 aligns features, sample by sample (the paper's FA, Fig. 5).
    """

    name: Literal["none"] = "none"


DistanceSettings = Annotated[
    FrobeniusSettings | PowerEuclideanSettings | MaxExpSettings | NormalKlSettings,
    Field(discriminator="name"),
]
DistanceOrNoneSettings = Annotated[
    FrobeniusSettings | PowerEuclideanSettings | MaxExpSettings | NormalKlSettings | NoDistance,
    Field(discriminator="name"),
]


class ProjectionHeadSettings(Spec):
    """The two heads, of teacher and student, whose outputs have the covariance of Eq. 5."""

    kind: Literal["linear", "mlp"] = "linear"
    """linear: one linear layer; mlp: linear, batch norm, ReLU, linear."""
    dimension: HeadDimension | None = None
    """d: covariances are 2d x 2d. Default: half of the student's features, at most 128."""
    normalize: bool = True
    """Scale the projected features of each image to unit length before Eq. 5."""
    teacher: Literal["trained", "frozen"] = "frozen"
    """trained: both heads are trained, as Eq. 7 is printed; they collapse to one direction, which
    the effective ranks show. frozen: the teacher's head keeps its random weights, so that the
    student's covariance has a fixed target."""
    perturbation: float = Field(default=0.01, ge=0, le=1)
    """kappa of Eq. 7: radius of the perturbation of the student's head, relative to the norm of
    each weight tensor. 0: no perturbation."""
    perturbation_steps: int = Field(default=1, ge=1, le=20)
    """Steps of gradient ascent on the perturbation."""
    cosine_weight: float = Field(default=1.0, ge=0, le=100)
    """Weight of Eq. 7's (1 - cosine)^2 beside FCA; both are multiplied by FCA's weight, alpha_1."""

    def dimension_for(self, student_features: int) -> int:
        """Return d for a student with this many penultimate features."""
        return self.dimension or min(MAX_DEFAULT_DIMENSION, max(2, student_features // 2))


class CovarianceAlignmentSettings(Spec):
    """FCA, Eq. 5-7: alignment of the feature covariances of student and teacher."""

    weight: float = Field(default=1.0, ge=0, le=1000)
    """alpha_1. 0 leaves this part out."""
    distance: DistanceOrNoneSettings = MaxExpSettings()
    """Distance between the two covariances."""
    heads: ProjectionHeadSettings = ProjectionHeadSettings()
    """Projection of the features."""


class GramMatchingSettings(Spec):
    """PGM, Eq. 8 and 9: matching of the Gram matrices of student and teacher."""

    weight: float = Field(default=2.0, ge=0, le=1000)
    """alpha_2. 0 leaves this part out."""
    distance: DistanceSettings = MaxExpSettings()
    """Distance between the two Gram matrices."""


class SubmatrixAlignmentSettings(Spec):
    """Omega, Eq. 10: the student's adversarial and mixed blocks follow its clean block."""

    weight: float = Field(default=1.0, ge=0, le=1000)
    """alpha_3. 0 leaves this part out."""
    factor: float = Field(default=0.5, gt=0, le=10)
    """Factor of the sum over the three blocks; the paper's is one half."""
    covariance: bool = True
    """Apply it to the student's covariance."""
    gram: bool = True
    """Apply it to the student's Gram matrix."""


class StarshipSettings(Spec):
    """STARSHIP (Dong et al., ECCV 2024), Eq. 11: ARKD + FCA + PGM + Omega.

    `adaptive: true` makes it Ada-STARSHIP.
    """

    name: Literal["starship"] = "starship"
    beta: float = Field(default=0.8, ge=0, le=1)
    """Weight of ARKD's adversarial term. The clean term has weight 1 - beta."""
    adaptive: bool = False
    """Eq. 3: the adversary's gradients pass through the teacher, too."""
    covariance: CovarianceAlignmentSettings = CovarianceAlignmentSettings()
    """FCA, covariance alignment, and its projection heads."""
    gram: GramMatchingSettings = GramMatchingSettings()
    """PGM, Gram matching."""
    submatrices: SubmatrixAlignmentSettings = SubmatrixAlignmentSettings()
    """Omega, sub-matrix alignment."""

    loss_passes: ClassVar[int] = 4
    """Passes of student or teacher on one image that the loss of a training step takes."""

    @property
    def attacks_teacher(self) -> bool:
        """Whether the adversary's gradients pass through the teacher."""
        return self.adaptive
