"""Do the parts of a job fit together, and what do its open defaults become? Asked once, at submission."""

from core.errors import FieldError
from core.spec.data import Augmentation, DatasetDescription
from core.spec.evaluation import Attack
from core.spec.job import Distillation, TrainingJob
from core.spec.network import ARCHITECTURES, ModelDescription, Network

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
    name = spec.data.dataset
    found = network_misfits(spec.student, dataset.channels, dataset.height, dataset.width, ("student",), name)
    if steps_per_epoch(spec, dataset) < 1:
        held_out = held_out_images(spec, dataset)
        images = f"{_used_images(spec, dataset) - held_out} training images left after {held_out} are held out"
        message = f"A batch of {spec.schedule.batch_size} is more than the {images}."
        found.append(FieldError(("schedule", "batch_size"), message))
    if teacher is not None and isinstance(spec, Distillation):
        found += _teacher_misfits(name, dataset, teacher)
    return found


def network_misfits(
    network: Network, channels: int, height: int, width: int, path: tuple[str, ...], images: str = "the input"
) -> list[FieldError]:
    """Why a network cannot take such images; ``path`` leads to the network in the body, ``images`` names them."""
    facts, found = ARCHITECTURES[network.architecture], []
    if channels not in facts.channels:
        wanted = " or ".join(map(str, facts.channels))
        message = f"{facts.title} takes images of {wanted} channels; {images} has {channels}."
        found.append(FieldError((*path, "architecture"), message))
    elif channels != 3 and network.normalisation != "none":
        message = f"Normalisation {network.normalisation!r} is for colour images; {images} has {channels} channels."
        found.append(FieldError((*path, "normalisation"), message))
    if min(height, width) < facts.smallest_side:
        least = f"{facts.smallest_side}x{facts.smallest_side}"
        message = f"{facts.title} takes images of at least {least} pixels; {images} has {height}x{width}."
        found.append(FieldError((*path, "architecture"), message))
    return found


def _teacher_misfits(name: str, dataset: DatasetDescription, teacher: ModelDescription) -> list[FieldError]:
    found = []
    if teacher.classes != dataset.classes:
        message = f"The teacher tells {teacher.classes} classes apart; {name} has {dataset.classes}."
        found.append(FieldError(("teacher",), message))
    ours, theirs = (f"{it.channels}x{it.height}x{it.width}" for it in (dataset, teacher))
    if ours != theirs:
        message = f"The teacher takes images of {theirs} (channels, height, width); {name} has {ours}."
        found.append(FieldError(("teacher",), message))
    return found
