"""The settings of every method, one class a method.

The mathematics is in core/distillation/methods, one file a method. Beside its fields, each class
declares what a training step costs: `loss_passes`, the most passes of student or teacher on one
image that the loss takes, and `attacks_teacher`, whether the adversary's gradients pass through the
teacher, too. What the authors' own code did differently is in presets.py. How to add a method:
docs/adding-a-method.md.

`statistics_passes`, where a method has it, makes the student's passes that the authors' code makes
though its loss does not use their output. In train mode they move the running statistics of batch
norm, and nothing else.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.jobspec.base import EpochCount, Spec
from core.jobspec.training.starship import StarshipSettings

Reduction = Literal["batch_mean", "mean", "batch_mean_over_10"]
"""batch_mean sums a divergence over classes and averages it over the batch. mean averages it over
classes, too, and is smaller by the number of classes: torch's KLDivLoss by default.
batch_mean_over_10 is a tenth of batch_mean, however many classes there are."""


class ArdSettings(Spec):
    """ARD (Goldblum et al., AAAI 2020).

    The student's adversarial prediction follows the teacher's clean one, both softened.
    """

    name: Literal["ard"] = "ard"
    alpha: float = Field(default=1.0, ge=0, le=1)
    """Weight of the distillation term. Clean cross entropy has weight 1 - alpha."""
    temperature: float = Field(default=30.0, gt=0, le=1000)
    """Temperature of both predictions; the distillation term is multiplied by its square."""
    reduction: Reduction = "batch_mean"
    """batch_mean: sum over classes, mean over the batch. mean: mean over both.
    batch_mean_over_10: a tenth of batch_mean."""

    statistics_passes: bool = False
    """Run the student on the clean images at alpha 1, too, where the loss does not use them: its
    batch norms' running statistics are then of both kinds of images, as in the authors' code."""

    attacks_teacher: ClassVar[bool] = False

    @property
    def loss_passes(self) -> int:
        """Passes of student or teacher on one image in a training step's loss."""
        return 3 if self.alpha < 1 or self.statistics_passes else 2


class IadSettings(Spec):
    """IAD-I (Zhu et al., ICLR 2022).

    The student trusts the teacher where the teacher is right under attack, and itself elsewhere.
    """

    name: Literal["iad"] = "iad"
    temperature: float = Field(default=1.0, gt=0, le=1000)
    """Temperature of the teacher's and the student's predictions in the distillation term."""
    exponent: float = Field(default=0.1, ge=0, le=10)
    """Trust is the teacher's probability of the label on the adversarial image, to this power."""
    begin: EpochCount | None = None
    """Epochs before the student's own prediction is used. Default: 30 % of all, 60 of 200."""
    weigh_teacher: bool = False
    """Weight the teacher's term by trust, too, as the paper prints it; its code does not."""

    statistics_passes: bool = False
    """Run the student once more on the adversarial and on the clean images, for its batch norms'
    running statistics alone, as in the authors' code."""

    attacks_teacher: ClassVar[bool] = False

    @property
    def loss_passes(self) -> int:
        """Passes of student or teacher on one image in a training step's loss, from `begin` on."""
        return 6 if self.statistics_passes else 4


class RsladSettings(Spec):
    """RSLAD (Zi et al., ICCV 2021).

    The student's adversarial and clean predictions both follow the teacher's clean one.
    """

    name: Literal["rslad"] = "rslad"
    clean_weight: float = Field(default=1 / 6, ge=0, le=1)
    """Weight of the clean term. The adversarial term has weight 1 - clean_weight."""
    reduction: Reduction = "batch_mean"
    """batch_mean: sum over classes, mean over the batch. mean: mean over both.
    batch_mean_over_10: a tenth of batch_mean."""

    loss_passes: ClassVar[int] = 3
    attacks_teacher: ClassVar[bool] = False


class AkdSettings(Spec):
    """AKD (Maroto et al., 2022): labels mixed with the teacher's adversarial prediction."""

    name: Literal["akd"] = "akd"
    alpha: float = Field(default=0.5, ge=0, le=1)
    """Share of the teacher's prediction in the target. The label has share 1 - alpha."""

    loss_passes: ClassVar[int] = 3
    attacks_teacher: ClassVar[bool] = False


class AdaAdSettings(Spec):
    """AdaAD (Huang et al., CVPR 2023).

    The adversary maximizes the divergence of student and teacher; the student minimizes it there.
    """

    name: Literal["adaad"] = "adaad"
    alpha: float = Field(default=1.0, ge=0, le=1)
    """Weight of the adversarial term. The clean term has weight 1 - alpha."""
    reduction: Reduction = "batch_mean"
    """batch_mean: sum over classes, mean over the batch. mean: mean over both.
    batch_mean_over_10: a tenth of batch_mean."""

    statistics_passes: bool = False
    """Run the student on the clean images at alpha 1, too, where the loss does not use them: its
    batch norms' running statistics are then of both kinds of images, as in the authors' code."""

    attacks_teacher: ClassVar[bool] = True

    @property
    def loss_passes(self) -> int:
        """Passes of student or teacher on one image in a training step's loss."""
        return 4 if self.alpha < 1 or self.statistics_passes else 3


class ArkdSettings(Spec):
    """Adversarially robust knowledge distillation, Eq. 4 of STARSHIP.

    The student's predictions follow the teacher's on clean and on adversarial images.
    """

    name: Literal["arkd"] = "arkd"
    beta: float = Field(default=0.8, ge=0, le=1)
    """Weight of the adversarial term. The clean term has weight 1 - beta."""
    adaptive: bool = False
    """Eq. 3: the adversary's gradients pass through the teacher, too."""

    loss_passes: ClassVar[int] = 4

    @property
    def attacks_teacher(self) -> bool:
        """Whether the adversary's gradients pass through the teacher."""
        return self.adaptive


class TradesSettings(Spec):
    """TRADES (Zhang et al., ICML 2019).

    Clean cross entropy + beta * KL(clean prediction || adversarial prediction).
    """

    name: Literal["trades"] = "trades"
    beta: float = Field(default=6.0, ge=0, le=100)
    """Weight of the KL term: a larger one trades clean accuracy for robustness."""
    statistics_passes: bool = False
    """Run the student once more on the clean images, for its batch norms' running statistics alone,
    as in the authors' code."""

    attacks_teacher: ClassVar[bool] = False

    @property
    def loss_passes(self) -> int:
        """Passes of the student on one image in a training step's loss."""
        return 4 if self.statistics_passes else 3


class PgdAtSettings(Spec):
    """PGD adversarial training (Madry et al., ICLR 2018): cross entropy on adversarial images."""

    name: Literal["pgd_at"] = "pgd_at"
    statistics_passes: bool = False
    """Run the student once more on the adversarial images and once on the clean ones, for its batch
    norms' running statistics alone, as in the code of Rice et al."""

    attacks_teacher: ClassVar[bool] = False

    @property
    def loss_passes(self) -> int:
        """Passes of the student on one image in a training step's loss."""
        return 3 if self.statistics_passes else 1


class ScoreSettings(Spec):
    """SCORE (Pang et al., ICML 2022): TRADES with squared errors in place of CE and KL."""

    name: Literal["score"] = "score"
    beta: float = Field(default=3.0, ge=0, le=100)
    """Weight of the adversarial term: a larger one trades clean accuracy for robustness."""

    loss_passes: ClassVar[int] = 3
    attacks_teacher: ClassVar[bool] = False


class NFgsmAtSettings(Spec):
    """N-FGSM adversarial training (de Jorge et al., NeurIPS 2022).

    Cross entropy on the images of the N-FGSM adversary.
    """

    name: Literal["n_fgsm"] = "n_fgsm"

    loss_passes: ClassVar[int] = 1
    attacks_teacher: ClassVar[bool] = False


class AtPrmSettings(Spec):
    """AT-PRM (Mo et al., NeurIPS 2022), for vision transformers.

    Adversarial training on mixed images. In each step of the attack, the perturbation of random
    patches is set to zero first; the share of these patches falls during the first epochs.
    """

    name: Literal["at_prm"] = "at_prm"
    masked: float = Field(default=1.0, ge=0, le=1)
    """Share of patches whose perturbation each step of the attack sets to zero first, in the
    beginning; it falls linearly to 0."""
    ramp_epochs: int = Field(default=10, ge=0, le=10_000)
    """Epochs until that share is 0. 0: no patch is ever masked."""
    mixup: float = Field(default=0.8, ge=0, le=10)
    """Both parameters of the beta distribution of mixup's shares. 0: no mixup."""
    cutmix: float = Field(default=1.0, ge=0, le=10)
    """The same for cutmix; 0: no cutmix. With both, each batch gets one of them at random."""
    mixing_probability: float = Field(default=1.0, ge=0, le=1)
    """Probability that a batch is mixed at all."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of each label that is spread over all classes."""

    loss_passes: ClassVar[int] = 1
    attacks_teacher: ClassVar[bool] = False


class IgdmSettings(Spec):
    """IGDM (Lee et al., ICLR 2025), a term beside any distillation method.

    The change of the student's logits along the perturbation follows that of the teacher's.
    """

    weight: float = Field(default=1.0, gt=0, le=1000)
    """Weight of the term in the last epoch; it grows linearly from 0."""
    forward: float = Field(default=1.0, gt=0, le=10)
    """The change is between x + forward * perturbation and x - backward * perturbation."""
    backward: float = Field(default=1.0, ge=0, le=10)
    """See `forward`."""

    @property
    def loss_passes(self) -> int:
        """The most passes that each training step has in addition to the method's own.

        The adversarial images have already passed through the student, and through the teacher in
        most methods; the clean ones through the teacher, and through the student in most methods.
        """
        ahead = 1 if self.forward == 1 else 2
        behind = 1 if self.backward == 0 else 2
        return ahead + behind


DistillationMethodSettings = Annotated[
    StarshipSettings
    | ArkdSettings
    | ArdSettings
    | IadSettings
    | RsladSettings
    | AkdSettings
    | AdaAdSettings,
    Field(discriminator="name"),
]
AdversarialTrainingMethodSettings = Annotated[
    TradesSettings | PgdAtSettings | ScoreSettings | NFgsmAtSettings | AtPrmSettings,
    Field(discriminator="name"),
]

METHODS: dict[str, type[DistillationMethodSettings | AdversarialTrainingMethodSettings]] = {
    "starship": StarshipSettings,
    "arkd": ArkdSettings,
    "ard": ArdSettings,
    "iad": IadSettings,
    "rslad": RsladSettings,
    "akd": AkdSettings,
    "adaad": AdaAdSettings,
    "trades": TradesSettings,
    "pgd_at": PgdAtSettings,
    "score": ScoreSettings,
    "n_fgsm": NFgsmAtSettings,
    "at_prm": AtPrmSettings,
}
