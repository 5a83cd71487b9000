"""From what a caller sent to a job that a worker can carry out, or to every reason why none could."""

from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from api import schemas
from api.once import Once
from core import queue
from core.errors import FieldError, Invalid, NotFound
from core.settings import Settings
from core.spec import fit
from core.spec.adversary import Pgd
from core.spec.data import DatasetDescription
from core.spec.evaluation import SELECTION_STEPS, AutoAttack, Evaluation
from core.spec.job import Distillation, EvaluationJob, ImportDataset, ImportModel, Submitted, TrainingJob
from core.spec.network import ARCHITECTURES
from core.store import datasets, jobs, models, tables

COPIES_IN_CHECKPOINT = 3
"""Student, best student so far, momentum: each as large as the network."""


@dataclass(frozen=True)
class Prepared:
    """A job that fits together, fully resolved."""

    spec: Submitted
    dataset_id: str
    teacher_id: str | None
    description: DatasetDescription


def prepare(session: Session, project_id: str, spec: Submitted) -> Prepared:
    """Look up what the spec names and check that all of it fits. Raises Invalid with every field that is wrong."""
    wrong: list[FieldError] = []
    found = Lookup(session, project_id, wrong)
    dataset = found.dataset(spec.data.dataset, ("data", "dataset"))
    description = None if dataset is None else datasets.describe(dataset)
    if isinstance(spec, EvaluationJob):
        spec, teacher_id = _prepare_evaluation(found, spec, description)
    else:
        spec, teacher_id = _prepare_training(found, spec, description)
    if wrong or dataset is None or description is None:
        raise Invalid("This job could not run: " + " ".join(error.message for error in wrong), wrong, code="job_cannot_run")
    return Prepared(fit.resolve(spec, description), dataset.id, teacher_id, description)


class Lookup:
    """What a spec names, by the project's rows; what is not there, or not ready, is added to ``wrong``."""

    def __init__(self, session: Session, project_id: str, wrong: list[FieldError]) -> None:
        self.session, self.project_id, self.wrong = session, project_id, wrong

    def dataset(self, name: str, path: tuple[str, ...]) -> tables.Dataset | None:
        try:
            row = datasets.get(self.session, self.project_id, name)
        except NotFound as error:
            self.wrong.append(FieldError(path, error.message))
            return None
        if row.status != "ready":
            message = f"Data set {row.name!r} cannot be used: it is {row.status.replace('_', ' ')}."
            self.wrong.append(FieldError(path, message))
            return None
        return row

    def model(self, name: str | None, field: str) -> tables.Model | None:
        if name is None:
            return None
        try:
            return models.usable(self.session, self.project_id, name, field)
        except Invalid as error:
            self.wrong += error.errors
            return None


def _prepare_training(found: Lookup, spec: TrainingJob, dataset: DatasetDescription | None) -> tuple[TrainingJob, str | None]:
    """The spec with the ids of what it names beside teacher and data set, and the teacher's id."""
    teacher = found.model(spec.teacher, "teacher") if isinstance(spec, Distillation) else None
    start = found.model(spec.start_from, "start_from")
    extra = None if spec.data.extra is None else found.dataset(spec.data.extra.dataset, ("data", "extra", "dataset"))
    if dataset is not None:
        found.wrong += fit.misfits(spec, dataset, None if teacher is None else models.describe(teacher))
        if start is not None:
            found.wrong += fit.start_misfits(spec, dataset, models.describe(start))
        if extra is not None:
            found.wrong += fit.extra_misfits(spec.data.dataset, dataset, extra.name, datasets.describe(extra))
    if extra is not None and spec.data.extra is not None:
        named = spec.data.extra.model_copy(update={"dataset": extra.id})
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"extra": named})})
    if start is not None:
        spec = spec.model_copy(update={"start_from": start.id})
    return spec, None if teacher is None else teacher.id


def _prepare_evaluation(
    found: Lookup, spec: EvaluationJob, dataset: DatasetDescription | None
) -> tuple[EvaluationJob, str | None]:
    """The spec with the model's id, and the reference's id."""
    model, reference = found.model(spec.model, "model"), found.model(spec.reference, "reference")
    if dataset is not None:
        for row, field in ((model, "model"), (reference, "reference")):
            if row is not None:
                found.wrong += fit.model_misfits(spec.data.dataset, dataset, models.describe(row), (field,))
        found.wrong += fit.test_misfits(spec.data.dataset, dataset)
    found.wrong += fit.evaluation_misfits(spec.evaluation, spec.radius, spec.reference is not None)
    if model is not None:
        spec = spec.model_copy(update={"model": model.id})
    return spec, None if reference is None else reference.id


def submit(session: Session, once: Once, settings: Settings, project_id: str, spec: Submitted) -> tables.Job:
    """Checked and queued."""
    return queue_job(session, once, settings, project_id, prepare(session, project_id, spec))


def queue_job(
    session: Session, once: Once, settings: Settings, project_id: str, ready: Prepared, place: jobs.Place | None = None
) -> tables.Job:
    """A queued job; the workers hear of it after the commit."""
    job = jobs.submit(session, project_id, ready.spec, dataset_id=ready.dataset_id, teacher_id=ready.teacher_id, place=place)
    once.afterwards(partial(queue.hint, settings, job.id))
    return job


def submit_import(session: Session, project_id: str, spec: ImportModel | ImportDataset, name: str) -> tables.Job:
    """The job that opens an upload, in the transaction of the row that it is for. Hint after the commit."""
    return jobs.submit(session, project_id, spec, name=f"import {name}")


def estimate(ready: Prepared) -> schemas.Estimate:
    """What the job will cost, as far as its spec tells."""
    spec, data = ready.spec, ready.description
    test_images = min(spec.evaluation.limit or data.test_images, data.test_images)
    final = _final_passes(spec.evaluation, test_images)
    if isinstance(spec, EvaluationJob):
        return schemas.Estimate(test_images=test_images, network_passes=final)
    steps, held_out = fit.steps_per_epoch(spec, data), fit.held_out_images(spec, data)
    parameters = ARCHITECTURES[spec.student.architecture].parameters(data.classes, spec.student)
    return schemas.Estimate(
        steps_per_epoch=steps,
        steps=steps * spec.schedule.epochs,
        training_images=min(spec.data.limit or data.train_images, data.train_images) - held_out,
        held_out_images=held_out,
        test_images=test_images,
        student_parameters=parameters,
        checkpoint_bytes=None if parameters is None else parameters * 4 * COPIES_IN_CHECKPOINT,
        network_passes=_training_passes(spec, steps) + _selection_passes(spec, held_out) + 2 * final,
    )


def _training_passes(spec: TrainingJob, steps_per_epoch: int) -> int:
    """The adversary's, and those of the loss: the distillation methods differ by one or two of these."""
    adversary = spec.adversary.steps if isinstance(spec.adversary, Pgd) else 1
    through_both = spec.method.name == "adaad" or getattr(spec.method, "adaptive", False)
    loss = 5 if isinstance(spec, Distillation) else 3 if spec.method.name in {"trades", "score"} else 1
    passes = adversary * (2 if through_both else 1) + loss
    passes += 4 if isinstance(spec, Distillation) and spec.igdm is not None else 0
    passes += 2 if spec.awp is not None else 0
    return passes * spec.schedule.epochs * steps_per_epoch * spec.schedule.batch_size


def _selection_passes(spec: TrainingJob, held_out: int) -> int:
    times = -(-spec.schedule.epochs // spec.evaluation.every_epochs)
    return times * held_out * (SELECTION_STEPS + 2)


def _final_passes(evaluation: Evaluation, test_images: int) -> int:
    """Of one network; AutoAttack's as if every image stood to the end."""
    passes = 1
    for attack in evaluation.attacks:
        if isinstance(attack, AutoAttack):
            gradients = {"apgd-ce": 1, "apgd-t": 9, "fab-t": 9, "square": 0}
            passes += sum(gradients[stage] * attack.iterations for stage in attack.stages)
            passes += attack.queries if "square" in attack.stages else 0
        else:
            passes += attack.steps * getattr(attack, "restarts", 1) + 1
    return test_images * passes
