"""The methods' settings, one class a method; the mathematics is in core/distillation/methods, one file each.

Adding a method: its settings here, one file there, one line in each table of contents (docs/adding-a-method.md).
What the authors' own code did otherwise is in presets.py.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from core.jobspec.base import EpochCount, Spec
from core.jobspec.training.starship import StarshipSettings

Reduction = Literal["batch_mean", "mean"]
"""Of a divergence: batch_mean sums over classes and averages over the batch; mean averages over classes, too, and so is as many
times smaller as there are classes (what torch's KLDivLoss does when it is not told otherwise, and some authors' code with it)."""


class ArdSettings(Spec):
    """ARD (Goldblum et al., AAAI 2020): the teacher's clean prediction, softened, for the student's adversarial one."""

    name: Literal["ard"] = "ard"
    alpha: float = Field(default=1.0, ge=0, le=1)
    """Weight of the distillation; clean cross entropy has 1 - alpha."""
    temperature: float = Field(default=30.0, gt=0, le=1000)
    """That softens both predictions; the term is multiplied by its square."""
    reduction: Reduction = "batch_mean"
    """batch_mean: summed over classes, averaged over the batch; mean: averaged over both."""


class IadSettings(Spec):
    """IAD-I (Zhu et al., ICLR 2022): trusts the teacher where it is right under attack, and the student itself elsewhere."""

    name: Literal["iad"] = "iad"
    temperature: float = Field(default=1.0, gt=0, le=1000)
    """That softens the teacher's prediction and the student's in the first term."""
    exponent: float = Field(default=0.1, ge=0, le=10)
    """Trust is the teacher's probability of the label on the adversarial image, to this power."""
    begin: EpochCount | None = None
    """Epochs before the student's introspection joins in. Default: 30 % of all, 60 of 200."""
    weigh_teacher: bool = False
    """Weigh the teacher's term by trust as well: as the paper prints it, not as its code does."""


class RsladSettings(Spec):
    """RSLAD (Zi et al., ICCV 2021): the teacher's clean prediction for the student's adversarial and clean ones."""

    name: Literal["rslad"] = "rslad"
    clean_weight: float = Field(default=1 / 6, ge=0, le=1)
    """The adversarial term has the rest."""
    reduction: Reduction = "batch_mean"
    """batch_mean: summed over classes, averaged over the batch; mean: averaged over both."""


class AkdSettings(Spec):
    """AKD (Maroto et al., 2022): labels mixed with the teacher's adversarial prediction."""

    name: Literal["akd"] = "akd"
    alpha: float = Field(default=0.5, ge=0, le=1)
    """Share of the teacher's prediction in the target; the label has the rest."""


class AdaAdSettings(Spec):
    """AdaAD (Huang et al., CVPR 2023): the adversary drives student and teacher apart, the student follows the teacher there."""

    name: Literal["adaad"] = "adaad"
    alpha: float = Field(default=1.0, ge=0, le=1)
    """Weight of the adversarial term; the clean term has 1 - alpha."""
    reduction: Reduction = "batch_mean"
    """batch_mean: summed over classes, averaged over the batch; mean: averaged over both."""


class ArkdSettings(Spec):
    """Adversarially robust knowledge distillation, Eq. 4: predictions matched on clean and adversarial images."""

    name: Literal["arkd"] = "arkd"
    beta: float = Field(default=0.8, ge=0, le=1)
    """Weight of the adversarial term; the clean term has 1 - beta."""
    adaptive: bool = False
    """Eq. 3: the adversary climbs through the teacher, too."""


class TradesSettings(Spec):
    """TRADES: cross entropy on clean images + beta * KL(clean prediction || adversarial prediction)."""

    name: Literal["trades"] = "trades"
    beta: float = Field(default=6.0, ge=0, le=100)
    """Weight of the KL term: robustness against clean accuracy."""


class PgdAtSettings(Spec):
    """PGD adversarial training (Madry et al.): cross entropy on adversarial images."""

    name: Literal["pgd_at"] = "pgd_at"


class ScoreSettings(Spec):
    """SCORE (Pang et al., ICML 2022): TRADES with squared errors of probabilities in place of cross entropy and KL."""

    name: Literal["score"] = "score"
    beta: float = Field(default=3.0, ge=0, le=100)
    """Weight of the adversarial term: robustness against clean accuracy."""


class NFgsmAtSettings(Spec):
    """N-FGSM adversarial training (de Jorge et al., NeurIPS 2022): cross entropy on images of the N-FGSM adversary."""

    name: Literal["n_fgsm"] = "n_fgsm"


class AtPrmSettings(Spec):
    """AT-PRM (Mo et al., NeurIPS 2022), for vision transformers: adversarial training that at first leaves out random patches'
    perturbations, on mixed images."""

    name: Literal["at_prm"] = "at_prm"
    masked: float = Field(default=1.0, ge=0, le=1)
    """Share of the patches whose perturbation is zeroed in the first step; falls linearly to 0."""
    ramp_epochs: int = Field(default=10, ge=0, le=10_000)
    """Epochs until no perturbation is zeroed any more; 0: none ever is."""
    mixup: float = Field(default=0.8, ge=0, le=10)
    """Parameter of the beta distribution that mixup's shares are drawn from; 0: no mixup."""
    cutmix: float = Field(default=1.0, ge=0, le=10)
    """The same for cutmix. With both, each batch gets one of them, by chance; 0: no cutmix."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of each label that is spread over all classes."""


class IgdmSettings(Spec):
    """IGDM (Lee et al., ICLR 2025), beside any distillation method: the student's change of logits along the perturbation
    matched with the teacher's."""

    weight: float = Field(default=1.0, gt=0, le=1000)
    """Of the term in the last epoch: it grows linearly from 0."""
    forward: float = Field(default=1.0, gt=0, le=10)
    """How far ahead along the perturbation."""
    backward: float = Field(default=1.0, ge=0, le=10)
    """The change is between x + forward * perturbation and x - backward * perturbation."""


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
TrainingMethodSettings = Annotated[
    TradesSettings | PgdAtSettings | ScoreSettings | NFgsmAtSettings | AtPrmSettings,
    Field(discriminator="name"),
]

METHODS: dict[str, type[BaseModel]] = {
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
