"""Do the parts of a job fit together, and what do its open defaults become? Asked once, at submission."""

from core.errors import FieldError
from core.spec.data import Augmentation, DatasetDescription
from core.spec.evaluation import Attack
from core.spec.job import Distillation, TrainingJob
from core.spec.network import ARCHITECTURES, ModelDescription

CW_STEP_PER_RADIUS = 0.003 / (8 / 255)


def resolve(spec: TrainingJob, dataset: DatasetDescription) -> TrainingJob:
    """The same job with every default written out that depends on another field or on the data set."""
    data = spec.data
    if data.augmentation is None:
        colour = dataset.channels == 3
        padding = min(dataset.height, dataset.width) // 8 if colour else 0
        data = data.model_copy(update={"augmentation": Augmentation(crop_padding=padding, flip=colour)})
    attacks = tuple(_resolve_attack(attack, spec.adversary.radius) for attack in spec.evaluation.attacks)
    evaluation = spec.evaluation.model_copy(update={"attacks": attacks})
    return spec.model_copy(update={"data": data, "evaluation": evaluation})


def _resolve_attack(attack: Attack, training_radius: float) -> Attack:
    radius = training_radius if attack.radius is None else attack.radius
    share = 0.25 if attack.name == "pgd" else CW_STEP_PER_RADIUS
    step_size = min(1.0, radius * share) if attack.step_size is None else attack.step_size
    return attack.model_copy(update={"radius": radius, "step_size": step_size})


def held_out_images(spec: TrainingJob, dataset: DatasetDescription) -> int:
    """How many training images model selection gets: at least one."""
    return max(1, round(_used_images(spec, dataset) * spec.data.held_out))


def steps_per_epoch(spec: TrainingJob, dataset: DatasetDescription) -> int:
    """Complete batches in an epoch; 0 where the batch is larger than the training set."""
    return (_used_images(spec, dataset) - held_out_images(spec, dataset)) // spec.schedule.batch_size


def _used_images(spec: TrainingJob, dataset: DatasetDescription) -> int:
    return min(spec.data.limit or dataset.train_images, dataset.train_images)


def misfits(spec: TrainingJob, dataset: DatasetDescription, teacher: ModelDescription | None) -> list[FieldError]:
    """Every reason why this job could not run, with the field to change; empty where it can."""
    found = []
    facts = ARCHITECTURES[spec.student.architecture]
    size = f"{dataset.height}x{dataset.width}"
    if dataset.channels not in facts.channels:
        wanted = " or ".join(map(str, facts.channels))
        found.append(
            FieldError(
                ("student", "architecture"),
                f"{facts.title} takes images of {wanted} channels; {spec.data.dataset} has {dataset.channels}.",
            )
        )
    if min(dataset.height, dataset.width) < facts.smallest_side:
        found.append(
            FieldError(
                ("student", "architecture"),
                f"{facts.title} takes images of at least {facts.smallest_side}x{facts.smallest_side} pixels; {spec.data.dataset} has {size}.",
            )
        )
    if steps_per_epoch(spec, dataset) < 1:
        images = _used_images(spec, dataset) - held_out_images(spec, dataset)
        found.append(
            FieldError(
                ("schedule", "batch_size"),
                f"A batch of {spec.schedule.batch_size} is more than the {images} training images left after {held_out_images(spec, dataset)} are held out.",
            )
        )
    if teacher is not None and isinstance(spec, Distillation):
        found += _teacher_misfits(spec, dataset, teacher)
    return found


def _teacher_misfits(spec: Distillation, dataset: DatasetDescription, teacher: ModelDescription) -> list[FieldError]:
    found = []
    if teacher.classes != dataset.classes:
        found.append(
            FieldError(
                ("teacher",), f"The teacher tells {teacher.classes} classes apart; {spec.data.dataset} has {dataset.classes}."
            )
        )
    ours = (dataset.channels, dataset.height, dataset.width)
    theirs = (teacher.channels, teacher.height, teacher.width)
    if ours != theirs:
        shape = "{}x{}x{}".format
        found.append(
            FieldError(
                ("teacher",),
                f"The teacher takes images of {shape(*theirs)} (channels, height, width); {spec.data.dataset} has {shape(*ours)}.",
            )
        )
    return found
