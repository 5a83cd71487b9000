"""STARSHIP's settings, part by part. Every reading of the paper that it leaves open is one of them (docs/starship.md)."""

from typing import Annotated, Literal

from pydantic import Field

from core.jobspec.base import Spec

MOST_DIMENSIONS = 128
"""Of projected features, where a job does not say; wider than the student's own they cost accuracy (docs/starship.md)."""


HeadDimension = Annotated[int, Field(ge=2, le=2048)]


class Frobenius(Spec):
    """Squared Frobenius norm of the difference."""

    name: Literal["frobenius"] = "frobenius"


class PowerEuclidean(Spec):
    """Squared Frobenius norm of the difference of matrix powers (Power-Euclidean, Pow-E)."""

    name: Literal["power_euclidean"] = "power_euclidean"
    gamma: float = Field(default=0.5, gt=0, le=1)
    """The power."""
    ridge: float = Field(default=1e-3, ge=1e-6, le=1)
    """Added to the diagonal, times trace / size."""


class MaxExp(Spec):
    """Squared Frobenius norm of the difference after MaxExp, I - (I - M / (trace M + ridge))^eta."""

    name: Literal["max_exp"] = "max_exp"
    eta: int = Field(default=10, ge=1, le=1000)
    """The power: the higher, the flatter the spectrum becomes."""
    ridge: float = Field(default=1e-6, ge=1e-12, le=1)
    """Added to the trace."""


class NormalKl(Spec):
    """KL(N_teacher || N_student) between multivariate normal distributions; Gram matrices get zero means."""

    name: Literal["kl"] = "kl"
    ridge: float = Field(default=1e-3, ge=1e-6, le=1)
    """Added to the diagonal, times trace / size."""
    per_dimension: bool = True
    """Divided by the matrix's size, with which the whole, in nats, grows."""


class NoDistance(Spec):
    """None: covariances are not compared, and Eq. 7's cosine alone aligns features, sample by sample (the paper's FA, Fig. 5)."""

    name: Literal["none"] = "none"


Distance = Annotated[Frobenius | PowerEuclidean | MaxExp | NormalKl, Field(discriminator="name")]
DistanceOrNone = Annotated[
    Frobenius | PowerEuclidean | MaxExp | NormalKl | NoDistance, Field(discriminator="name")
]


class ProjectionHeads(Spec):
    """The two heads on the backbones' features, of teacher and student, that Eq. 5's covariance is taken behind."""

    kind: Literal["linear", "mlp"] = "linear"
    """linear: one linear layer; mlp: linear, batch norm, ReLU, linear."""
    dimension: HeadDimension | None = None
    """d: covariances are 2d x 2d. Default: half of the student's features, at most 128."""
    normalize: bool = True
    """Scale each view's projected features to unit length before Eq. 5."""
    teacher: Literal["trained", "frozen"] = "frozen"
    """trained: both heads are, as Eq. 7 is printed, and shrink together to one direction (see the effective ranks);
    frozen: the teacher's head stays as it was drawn, and the student's covariance has something to align with."""
    perturbation: float = Field(default=0.01, ge=0, le=1)
    """kappa of Eq. 7: radius of the perturbation of the student head, relative to each weight tensor's norm; 0: none."""
    perturbation_steps: int = Field(default=1, ge=1, le=20)
    """Of gradient ascent on the perturbation."""
    cosine_weight: float = Field(default=1.0, ge=0, le=100)
    """Weight of Eq. 7's (1 - cosine)^2 beside FCA; both are multiplied by FCA's own weight, alpha_1."""

    def dimension_for(self, student_features: int) -> int:
        """Return d for a student with this many penultimate features."""
        return self.dimension or min(MOST_DIMENSIONS, max(2, student_features // 2))


class CovarianceAlignment(Spec):
    """FCA, Eq. 5-7."""

    weight: float = Field(default=1.0, ge=0, le=1000)
    """alpha_1; 0 leaves the part out."""
    distance: DistanceOrNone = MaxExp()
    """Between the teacher's and the student's covariance."""
    heads: ProjectionHeads = ProjectionHeads()
    """What the features are projected by."""


class GramMatching(Spec):
    """PGM, Eq. 8 and 9."""

    weight: float = Field(default=2.0, ge=0, le=1000)
    """alpha_2; 0 leaves the part out."""
    distance: Distance = MaxExp()
    """Between the teacher's and the student's Gram matrix."""


class SubmatrixAlignment(Spec):
    """Omega, Eq. 10: the student's own blocks pulled toward its clean block."""

    weight: float = Field(default=1.0, ge=0, le=1000)
    """alpha_3; 0 leaves the part out."""
    factor: float = Field(default=0.5, gt=0, le=10)
    """Before the sum over the three blocks; the paper's is one half."""
    covariance: bool = True
    """Apply it to the student's covariance."""
    gram: bool = True
    """Apply it to the student's Gram matrix."""


class StarshipSettings(Spec):
    """STARSHIP (ECCV 2024), Eq. 11: ARKD + covariance alignment + Gram matching + sub-matrix alignment.

    `adaptive: true` makes it Ada-STARSHIP.
    """

    name: Literal["starship"] = "starship"
    beta: float = Field(default=0.8, ge=0, le=1)
    """Weight of ARKD's adversarial term; the clean term has 1 - beta."""
    adaptive: bool = False
    """Eq. 3: the adversary climbs through the teacher, too."""
    covariance: CovarianceAlignment = CovarianceAlignment()
    """FCA, and the heads that it is taken behind."""
    gram: GramMatching = GramMatching()
    """PGM."""
    submatrices: SubmatrixAlignment = SubmatrixAlignment()
    """Omega."""
