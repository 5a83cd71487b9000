"""What a caller submits: the body of POST /v1/jobs is one of these specs. Also, the import jobs.

What is stored is the resolved form (resolved.py), so that a changed default changes no old job.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from core.jobspec.base import PixelDistance, Spec
from core.jobspec.data import ImportOptions, TrainingData
from core.jobspec.evaluation import Evaluation
from core.jobspec.network import CheckpointOptions, ModelDescription, Network
from core.jobspec.training.adversary import AdversarySettings, PgdAdversarySettings
from core.jobspec.training.averaging import AveragingSettings
from core.jobspec.training.methods import (
    AdversarialTrainingMethodSettings,
    DistillationMethodSettings,
    IgdmSettings,
    TradesSettings,
)
from core.jobspec.training.presets import Preset, apply_preset
from core.jobspec.training.schedule import Schedule
from core.jobspec.training.starship import StarshipSettings
from core.jobspec.training.weight_perturbation import AwpSettings

ShortText = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
LabelKey = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
]


License = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.+-]{0,63}$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A reference to a model: its id or name, or ``series@version`` or ``series@alias``."""
ExportFormat = Literal["onnx", "torch_export"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)


class _SubmittedSpec(Spec):
    name: ShortText | None = None
    """A name for people. It need not be unique."""
    metadata: dict[LabelKey, ShortText] = Field(default_factory=dict, max_length=32)
    """Labels of your own, by which jobs can be filtered."""
    evaluation: Evaluation = Evaluation()
    """How the network is evaluated."""
    license: License | None = None
    """License of the published weights, as the Hugging Face Hub names it, such as apache-2.0. The
    model card says unknown without it."""


class _TrainingSpec(_SubmittedSpec):
    preset: Preset | None = None
    """reference: use the settings of the method's authors' own code wherever this body has none."""
    student: Network
    """The network to train."""
    start_from: ModelName | None = None
    """Id or name of a model whose weights the student starts from. It must have the student's
    architecture; its classifier is used only if the number of classes is the same."""
    data: TrainingData
    """The images to train on."""
    adversary: AdversarySettings = PgdAdversarySettings()
    """How training images are attacked."""
    schedule: Schedule = Schedule()
    """How long and at what rate the student is trained."""
    averaging: AveragingSettings | None = None
    """Average the weights over the training. The average, with fresh batch norm statistics, is what
    is selected, evaluated and published."""
    awp: AwpSettings | None = None
    """Adversarial weight perturbation of the student."""
    export: tuple[ExportFormat, ...] = Field(default=EXPORT_FORMATS, strict=False, max_length=2)
    """Formats of the student beside safetensors."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of first weights, image order, augmentation and adversary."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        # A preset is that of a method: of the default one, too.
        default = cls.model_fields["method"].default
        return apply_preset({"method": {"name": default.name}, **body})


class AdversarialTrainingSpec(_TrainingSpec):
    """Train a robust network from scratch, such as a teacher for later jobs."""

    kind: Literal["adversarial_training"] = "adversarial_training"
    method: AdversarialTrainingMethodSettings = TradesSettings()
    """The training method: what the network minimizes."""


class DistillationSpec(_TrainingSpec):
    """Distill a robust teacher into a student."""

    kind: Literal["distillation"] = "distillation"
    teacher: ModelName
    """Id or name of a model, `series@version`, `series@alias`, or id of a succeeded job, whose
    student is the teacher."""
    method: DistillationMethodSettings = StarshipSettings()
    """The distillation method: what the student minimizes, and the adversary maximizes."""
    igdm: IgdmSettings | None = None
    """Add IGDM's term to the method's own."""


class EvaluationData(Spec):
    """The data set whose test images are used."""

    dataset: str = Field(min_length=1, max_length=100)
    """Id or name of a data set. Its test images are used."""


class EvaluationJobSpec(_SubmittedSpec):
    """Evaluate a network that exists: an uploaded one, or the student of a job."""

    kind: Literal["evaluation"] = "evaluation"
    model: ModelName
    """Id or name of a model, `series@version`, `series@alias`, or id of a succeeded job, whose
    student is evaluated."""
    reference: ModelName | None = None
    """A second network, such as the teacher, for the analyses that compare two."""
    data: EvaluationData
    """The images to evaluate it on."""
    radius: PixelDistance = 8 / 255
    """Perturbation radius in L-infinity, on pixels in [0, 1], of attacks without one of their
    own."""
    export: tuple[ExportFormat, ...] = Field(default=(), strict=False, max_length=2)
    """Formats to export the model to."""


class ImportModelSpec(CheckpointOptions):
    """Open an uploaded checkpoint in a sandbox. Made by POST /v1/models, never by a caller."""

    kind: Literal["import_model"] = "import_model"
    model_id: str
    description: ModelDescription


class ImportDatasetSpec(ImportOptions):
    """Open an uploaded archive, a folder of the operator's, or a download, in a sandbox.

    Made by POST /v1/datasets, never by a caller.
    """

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


def submitted_schema() -> dict[str, Any]:
    """Return the JSON Schema of the body of POST /v1/jobs."""
    return _submitted_spec.json_schema()


def parse_submitted(body: dict[str, Any]) -> SubmittedSpec:
    """Validate the body of POST /v1/jobs. Raises pydantic's ValidationError."""
    return _submitted_spec.validate_python(body)
