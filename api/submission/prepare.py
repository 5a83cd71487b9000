"""From a submitted spec to a job that a worker can run, or to every reason why none could."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from api.http.validation import invalid_body
from core.errors import FieldError, Invalid, NotFound
from core.jobspec import compatibility, defaults
from core.jobspec.data import DatasetDescription
from core.jobspec.job import (
    DistillationSpec,
    EvaluationJobSpec,
    SubmittedSpec,
    TrainingSpec,
    parse_submitted,
)
from core.jobspec.resolved import ResolvedSpec
from core.store.database import tables
from core.store.registry import datasets, models, uploaded_items


@dataclass(frozen=True)
class PreparedJob:
    """A spec whose parts fit together, fully resolved, and the ids of the inputs that it names."""

    spec: ResolvedSpec
    dataset_id: str
    teacher_id: str | None
    """Of the reference, for an evaluation."""
    dataset: DatasetDescription


def validate_spec(body: dict[str, Any]) -> SubmittedSpec:
    """Validate a body that no endpoint's signature has validated.

    Raises Invalid, with the path of every wrong field.
    """
    try:
        return parse_submitted(body)
    except ValidationError as error:
        raise invalid_body(error.errors(include_url=False), body) from error


def prepare_job(session: Session, project_id: str, spec: SubmittedSpec) -> PreparedJob:
    """Look up the inputs that the spec names, check that all parts fit, and resolve its defaults.

    Raises Invalid (code ``job_cannot_run``) with everything that is wrong.
    """
    inputs = InputResolver(session, project_id)
    row = inputs.dataset(spec.data.dataset, ("data", "dataset"))
    dataset = None if row is None else datasets.describe(row)
    if isinstance(spec, EvaluationJobSpec):
        spec, teacher_id = _prepare_evaluation(inputs, spec, dataset)
    else:
        spec, teacher_id = _prepare_training(inputs, spec, dataset)
    if inputs.errors or row is None or dataset is None:
        message = "This job could not run: " + " ".join(error.message for error in inputs.errors)
        raise Invalid(message, inputs.errors, code="job_cannot_run")
    return PreparedJob(defaults.resolve(spec, dataset), row.id, teacher_id, dataset)


class InputResolver:
    """Looks up models and data sets by the names in a spec, and collects errors of any kind."""

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.project_id = project_id
        self.errors: list[FieldError] = []

    def dataset(self, reference: str, path: tuple[str, ...]) -> tables.DatasetRow | None:
        """Return the ready data set; otherwise add an error for ``path`` and return None."""
        try:
            row = uploaded_items.get(self.session, tables.DatasetRow, self.project_id, reference)
        except NotFound as error:
            self.errors.append(FieldError(path, error.message))
            return None
        if row.status != "ready":
            status = row.status.replace("_", " ")
            message = f"Data set {row.name!r} cannot be used: it is {status}."
            self.errors.append(FieldError(path, message))
            return None
        return row

    def model(self, reference: str | None, field: str) -> tables.ModelRow | None:
        """Return the ready model; otherwise add an error for ``field`` and return None.

        A reference of None names no model, which is no error.
        """
        if reference is None:
            return None
        try:
            return models.find_usable(self.session, self.project_id, reference, field)
        except Invalid as error:
            self.errors += error.errors
            return None


def _prepare_training(
    inputs: InputResolver, spec: TrainingSpec, dataset: DatasetDescription | None
) -> tuple[TrainingSpec, str | None]:
    """Return the spec with the ids of its models and extra data set, and the teacher's id."""
    teacher = inputs.model(spec.teacher, "teacher") if isinstance(spec, DistillationSpec) else None
    start = inputs.model(spec.start_from, "start_from")
    extra = None
    if spec.data.extra is not None:
        extra = inputs.dataset(spec.data.extra.dataset, ("data", "extra", "dataset"))
    if dataset is not None:
        spec = defaults.complete_preset(spec, dataset.classes)
        inputs.errors += compatibility.training_problems(
            spec, dataset, None if teacher is None else models.describe(teacher)
        )
        if start is not None:
            inputs.errors += compatibility.start_from_problems(
                spec, dataset, models.describe(start)
            )
        if extra is not None:
            inputs.errors += compatibility.extra_data_problems(
                spec.data.dataset, dataset, extra.name, datasets.describe(extra)
            )
    if extra is not None and spec.data.extra is not None:
        extra_data = spec.data.extra.model_copy(update={"dataset": extra.id})
        data = spec.data.model_copy(update={"extra": extra_data})
        spec = spec.model_copy(update={"data": data})
    # An alias may be moved, and a name given to another model: what is stored names one for good.
    if start is not None:
        spec = spec.model_copy(update={"start_from": start.id})
    if teacher is not None:
        spec = spec.model_copy(update={"teacher": teacher.id})
    return spec, None if teacher is None else teacher.id


def _prepare_evaluation(
    inputs: InputResolver, spec: EvaluationJobSpec, dataset: DatasetDescription | None
) -> tuple[EvaluationJobSpec, str | None]:
    """Return the spec with the ids of its models, and the reference's id."""
    model = inputs.model(spec.model, "model")
    reference = inputs.model(spec.reference, "reference")
    if dataset is not None:
        for row, field in ((model, "model"), (reference, "reference")):
            if row is not None:
                inputs.errors += compatibility.model_problems(
                    spec.data.dataset, dataset, models.describe(row), (field,)
                )
        inputs.errors += compatibility.missing_test_image_problems(spec.data.dataset, dataset)
    inputs.errors += compatibility.evaluation_problems(
        spec.evaluation, spec.radius, spec.reference is not None
    )
    if model is not None:
        spec = spec.model_copy(update={"model": model.id})
    if reference is not None:
        spec = spec.model_copy(update={"reference": reference.id})
    return spec, None if reference is None else reference.id
