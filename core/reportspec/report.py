"""A job's report, as a program reads it: the schema of report.json. Accuracies are shares in [0, 1], times are seconds."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.jobspec.data import DatasetDescription
from core.jobspec.resolved import ResolvedSpec
from core.jobspec.network import ModelDescription

JOULES_PER_KILOWATT_HOUR = 3.6e6


class _ReportPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class MeasureResult(BaseModel):
    """What one measure found. Beside these fields, whatever else the measure keeps."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    value: float | None
    """Its one number; None where it has none."""
    values: dict[str, float] = {}
    """Further numbers by name."""
    seconds: float
    per_class: list[float | None] | None = None
    """Of an accuracy: of each class, None for one without images."""
    images: int | None = None
    interval: tuple[float, float] | None = None
    """Of an accuracy: its 95 % interval (Wilson's), as the images are a sample."""


class ReportedNetwork(_ReportPart):
    description: ModelDescription
    parameters: int
    best_epoch: int | None = None
    """Of a student: where its held-out robust accuracy was highest."""


class ReportedData(_ReportPart):
    dataset: str
    """As the job named it."""
    description: DatasetDescription
    images: dict[str, int]
    """training, held_out, test, extra: how many were used."""


class Environment(_ReportPart):
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    hardware: str
    threads: int
    energy_of: str | None = None
    """What the joules are of, and what counted them; whatever else used it is counted, too. None: nothing did."""


class Report(_ReportPart):
    """What a job found, on what, how it was made, and what makes its numbers less than standard."""

    format: Annotated[Literal["distill-report-2"], Field(alias="schema")]
    kind: Literal["adversarial_training", "distillation", "evaluation"]
    results: dict[str, dict[str, MeasureResult]]
    """By network (best, last; model, of an evaluation) and measure."""
    warnings: list[str]
    """A sentence for everything that makes a number less than standard."""
    network: ReportedNetwork
    reference: ReportedNetwork | None
    """The teacher, or the network that an evaluation compares with."""
    data: ReportedData
    selection: str | None
    seeds: dict[str, int]
    history: list[dict[str, float]]
    """By epoch."""
    seconds: dict[str, float]
    """By phase, over all attempts."""
    joules: dict[str, float | None] = {}
    """Energy by phase, over all attempts; None where any of it is not known."""
    environment: Environment
    spec: ResolvedSpec

    @property
    def main_results(self) -> dict[str, MeasureResult]:
        """The results that count: of the best epoch's student, or of the model that was measured."""
        return self.results["model" if self.kind == "evaluation" else "best"]

    @property
    def kilowatt_hours(self) -> float | None:
        """Of all phases; None where any part is not known."""
        known = [joules for joules in self.joules.values() if joules is not None]
        return (
            sum(known) / JOULES_PER_KILOWATT_HOUR
            if known and len(known) == len(self.joules)
            else None
        )

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Of report.json, as JSON Schema 2020-12."""
        schema = cls.model_json_schema(by_alias=True, mode="serialization")
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)
