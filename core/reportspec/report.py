"""The schema of report.json. Accuracies are shares in [0, 1], times are in seconds."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.jobspec.data import DatasetDescription
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedSpec
from core.reportspec.measures import Measure
from core.reportspec.threat_model import Norm

JOULES_PER_KILOWATT_HOUR = 3.6e6


class _ReportPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class InputIdentity(_ReportPart):
    """Which model or data set of the service a job used."""

    id: str
    name: str
    sha256: str | None
    """Of the stored file; of digits, which is built in, of scikit-learn's file."""


class MeasureResult(BaseModel):
    """The result of one measure. It may have more fields, depending on the measure."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    measure: Measure
    """Attack, norm, radius, steps or version, and the title."""
    value: float | None
    """The main number; None if the measure has none."""
    values: dict[str, float] = {}
    """More numbers, by name."""
    seconds: float
    per_class: list[float | None] | None = None
    """Accuracy of each class; None for a class without images."""
    images: int | None = None
    interval: tuple[float, float] | None = None
    """Wilson's 95 % interval of an accuracy, with the images as a sample."""


class MaskingCheck(_ReportPart):
    """One check for masked gradients, by which a network only seems robust."""

    name: str
    title: str
    """What is true of a network that passes."""
    status: Literal["passed", "failed", "not_run"]
    details: str
    """What was found, or what the check needs in order to run."""


class ThreatModelDescription(_ReportPart):
    norm: Norm
    radius: float
    """On pixels in [0, 1]."""
    title: str
    """L∞, 8/255."""


class ReportedNetwork(_ReportPart):
    description: ModelDescription
    parameters: int
    model: InputIdentity | None = None
    """The stored model; None for a student that the job trained."""
    best_epoch: int | None = None
    """Epoch in which a student's robust accuracy on held-out images was highest."""


class ReportedData(_ReportPart):
    dataset: str
    """Id or name, as in the spec."""
    identity: InputIdentity | None = None
    """None for a job folder that was made by hand."""
    extra: InputIdentity | None = None
    """The data set of the extra training images."""
    description: DatasetDescription
    images: dict[str, int]
    """Number of images used: training, held_out, test, extra."""


class Environment(_ReportPart):
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    hardware: str
    threads: int
    energy_of: str | None = None
    """The device whose energy was measured, and the counter. Energy that other programs used on it
    is included. None: no energy was measured."""


class Report(_ReportPart):
    """Results of a job, and how they were obtained."""

    format: Annotated[Literal["distill-report-3"], Field(alias="schema")]
    kind: Literal["adversarial_training", "distillation", "evaluation"]
    results: dict[str, dict[str, MeasureResult]]
    """By network (best, last; model in an evaluation) and by the measure's key, such as
    pgd-20@linf:8/255."""
    threat_model: ThreatModelDescription
    """Of the training adversary; of an evaluation, of attacks without a radius of their own."""
    masking_checks: list[MaskingCheck] = []
    """Checks for masked gradients of the best epoch's student, or of the evaluated model."""
    warnings: list[str]
    """A sentence for everything that makes a number less reliable or less comparable."""
    network: ReportedNetwork
    reference: ReportedNetwork | None
    """The teacher, or the reference of an evaluation."""
    data: ReportedData
    selection: str | None
    seeds: dict[str, int]
    history: list[dict[str, float]]
    """Values of each epoch."""
    seconds: dict[str, float]
    """Time of each phase, over all attempts."""
    joules: dict[str, float | None] = {}
    """Energy of each phase, over all attempts; None if any part of it is unknown."""
    environment: Environment
    spec: ResolvedSpec

    @property
    def main_results(self) -> dict[str, MeasureResult]:
        """Results of the best epoch's student, or of the evaluated model."""
        return self.results["model" if self.kind == "evaluation" else "best"]

    @property
    def kilowatt_hours(self) -> float | None:
        """Energy of all phases; None if any part of it is unknown."""
        joules = [value for value in self.joules.values() if value is not None]
        if not joules or len(joules) < len(self.joules):
            return None
        return sum(joules) / JOULES_PER_KILOWATT_HOUR

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of report.json."""
        schema = cls.model_json_schema(by_alias=True, mode="serialization")
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)
