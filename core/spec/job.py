"""What a job is. The body of POST /v1/jobs IS one of these; stored fully resolved, so a changed default changes no old job."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from core.spec.adversary import Adversary, Pgd
from core.spec.base import Spec
from core.spec.data import Data
from core.spec.evaluation import Evaluation
from core.spec.method import DistillationMethod, Starship, Trades, TrainingMethod
from core.spec.network import ModelDescription, Network
from core.spec.schedule import Schedule

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


class _Training(Spec):
    name: Text | None = None
    """For people; need not be unique."""
    metadata: dict[Label, Text] = Field(default_factory=dict, max_length=32)
    """Labels of your own, to filter by."""
    student: Network
    """The network to be trained."""
    data: Data
    adversary: Adversary = Pgd()
    """How training images are attacked."""
    schedule: Schedule = Schedule()
    evaluation: Evaluation = Evaluation()
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Of the weights, the order of images, augmentation and adversary."""


class AdversarialTraining(_Training):
    """Makes a robust network from scratch: a teacher for later."""

    kind: Literal["adversarial_training"] = "adversarial_training"
    method: TrainingMethod = Trades()


class Distillation(_Training):
    """Distils a robust teacher into a student."""

    kind: Literal["distillation"] = "distillation"
    teacher: str = Field(min_length=1, max_length=100)
    """Id or name of a model, or id of a succeeded job, whose student is meant."""
    method: DistillationMethod = Starship()


class ImportModel(Spec):
    """Opens an uploaded checkpoint where it can do no harm. Made by POST /v1/models, never sent by a caller."""

    kind: Literal["import_model"] = "import_model"
    model_id: str
    description: ModelDescription


class ImportDataset(Spec):
    """Opens an uploaded archive, or a folder that the operator offers. Made by POST /v1/datasets, never sent by a caller."""

    kind: Literal["import_dataset"] = "import_dataset"
    dataset_id: str
    source: Literal["upload", "folder", "download"]
    folder: str | None = None
    """Name of an entry in the operator's data folder."""
    download: Literal["cifar10", "cifar100"] | None = None


TrainingJob = AdversarialTraining | Distillation
SubmittedJob = Annotated[TrainingJob, Field(discriminator="kind")]
AnyJob = Annotated[AdversarialTraining | Distillation | ImportModel | ImportDataset, Field(discriminator="kind")]

_any_job: TypeAdapter[AdversarialTraining | Distillation | ImportModel | ImportDataset] = TypeAdapter(AnyJob)


def parse(data: dict[str, Any]) -> AdversarialTraining | Distillation | ImportModel | ImportDataset:
    """A stored spec, checked again."""
    return _any_job.validate_python(data)
