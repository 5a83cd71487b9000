"""What a job is. The body of POST /v1/jobs IS one of these; stored resolved (resolved.py)."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from core.jobspec.base import PixelDistance, Spec
from core.jobspec.data import Data, Reading
from core.jobspec.evaluation import Evaluation
from core.jobspec.network import ModelDescription, Network
from core.jobspec.training.adversary import AdversarySettings, PgdSettings
from core.jobspec.training.methods import (
    DistillationMethodSettings,
    IgdmSettings,
    TradesSettings,
    TrainingMethodSettings,
)
from core.jobspec.training.presets import Preset, complete
from core.jobspec.training.schedule import Schedule
from core.jobspec.training.starship import StarshipSettings
from core.jobspec.training.weights import AveragingSettings, AwpSettings

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


ModelName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
"""Id or name of a model, or id of a succeeded job, whose student is meant."""
ExportFormat = Literal["onnx", "torch_export"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)


class _Submitted(Spec):
    name: Text | None = None
    """For people; need not be unique."""
    metadata: dict[Label, Text] = Field(default_factory=dict, max_length=32)
    """Labels of your own, to filter by."""
    evaluation: Evaluation = Evaluation()
    """How the network is measured once it is there."""


class _Training(_Submitted):
    preset: Preset | None = None
    """reference: what the method's authors' own code did, wherever this body says nothing itself."""
    student: Network
    """The network to be trained."""
    start_from: ModelName | None = None
    """A model of the student's architecture to take first weights from; its classifier only if the classes are as many."""
    data: Data
    """The images to train on."""
    adversary: AdversarySettings = PgdSettings()
    """How training images are attacked."""
    schedule: Schedule = Schedule()
    """How long and how fast."""
    averaging: AveragingSettings | None = None
    """The average of the weights, with fresh batch norm statistics, is what is selected, evaluated and published."""
    awp: AwpSettings | None = None
    """Adversarial weight perturbation of the student."""
    export: tuple[ExportFormat, ...] = Field(default=EXPORT_FORMATS, strict=False, max_length=2)
    """Formats of the student beside safetensors."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Of the weights, the order of images, augmentation and adversary."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, body: Any) -> Any:
        return complete(body) if isinstance(body, dict) else body


class AdversarialTrainingSpec(_Training):
    """Makes a robust network from scratch: a teacher for later."""

    kind: Literal["adversarial_training"] = "adversarial_training"
    method: TrainingMethodSettings = TradesSettings()
    """What the network descends."""


class DistillationSpec(_Training):
    """Distils a robust teacher into a student."""

    kind: Literal["distillation"] = "distillation"
    teacher: ModelName
    """Id or name of a model, or id of a succeeded job, whose student is meant."""
    method: DistillationMethodSettings = StarshipSettings()
    """What the student descends, and the adversary climbs."""
    igdm: IgdmSettings | None = None
    """IGDM's term beside the method's own."""


class EvaluatedData(Spec):
    """The data set whose test images are used."""

    dataset: str = Field(min_length=1, max_length=100)
    """Id or name of a data set: its test images are used."""


class EvaluationJobSpec(_Submitted):
    """Measures a network that is there already: an uploaded one, or a job's student."""

    kind: Literal["evaluation"] = "evaluation"
    model: ModelName
    """Id or name of a model, or id of a succeeded job, whose student is meant."""
    reference: ModelName | None = None
    """A network beside it, such as its teacher, for the analyses that compare two."""
    data: EvaluatedData
    """The images to measure it on."""
    radius: PixelDistance = 8 / 255
    """Where an attack does not say its own: perturbation radius in L-infinity, on pixels in [0, 1]."""
    export: tuple[ExportFormat, ...] = Field(default=(), strict=False, max_length=2)
    """Formats to export the model to."""


class ImportModelSpec(Spec):
    """Opens an uploaded checkpoint where it can do no harm. Made by POST /v1/models, never sent by a caller."""

    kind: Literal["import_model"] = "import_model"
    model_id: str
    description: ModelDescription


class ImportDatasetSpec(Reading):
    """Opens an uploaded archive, or a folder that the operator offers. Made by POST /v1/datasets, never sent by a caller."""

    kind: Literal["import_dataset"] = "import_dataset"
    dataset_id: str
    source: Literal["upload", "folder", "download"]
    folder: str | None = None
    """Name of an entry in the operator's data folder."""
    download: Literal["cifar10", "cifar100"] | None = None


TrainingSpec = AdversarialTrainingSpec | DistillationSpec
ImportSpec = ImportModelSpec | ImportDatasetSpec
SubmittedSpec = Annotated[
    AdversarialTrainingSpec | DistillationSpec | EvaluationJobSpec, Field(discriminator="kind")
]
"""The body of POST /v1/jobs."""

_submitted_spec: TypeAdapter[SubmittedSpec] = TypeAdapter(SubmittedSpec)


def parse_submitted(body: dict[str, Any]) -> SubmittedSpec:
    """Validate the body of POST /v1/jobs. Raises pydantic's ValidationError."""
    return _submitted_spec.validate_python(body)
