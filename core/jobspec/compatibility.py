"""Whether the parts of a job fit together. Checked once, at submission."""

from core.errors import FieldError
from core.jobspec.data import DatasetDescription
from core.jobspec.evaluation import (
    NEEDS_REFERENCE,
    Evaluation,
)
from core.jobspec.job import DistillationSpec, TrainingSpec
from core.jobspec.network import ARCHITECTURES, ModelDescription, Network, exact_side


def held_out_images(spec: TrainingSpec, dataset: DatasetDescription) -> int:
    """How many training images model selection gets: at least one."""
    return max(1, round(_used_images(spec, dataset) * spec.data.held_out))


def steps_per_epoch(spec: TrainingSpec, dataset: DatasetDescription) -> int:
    """Complete batches in an epoch; 0 where the batch is larger than the training set."""
    return (
        _used_images(spec, dataset) - held_out_images(spec, dataset)
    ) // spec.schedule.batch_size


def _used_images(spec: TrainingSpec, dataset: DatasetDescription) -> int:
    return min(spec.data.limit or dataset.train_images, dataset.train_images)


def problems(
    spec: TrainingSpec, dataset: DatasetDescription, teacher: ModelDescription | None
) -> list[FieldError]:
    """Every reason why this job could not run, with the field to change; empty where it can."""
    name = spec.data.dataset
    found = network_misfits(
        spec.student, dataset.channels, dataset.height, dataset.width, ("student",), name
    )
    found += test_misfits(name, dataset) + augmentation_misfits(spec, dataset)
    if steps_per_epoch(spec, dataset) < 1:
        held_out = held_out_images(spec, dataset)
        images = f"{_used_images(spec, dataset) - held_out} training images left after {held_out} are held out"
        message = f"A batch of {spec.schedule.batch_size} is more than the {images}."
        found.append(FieldError(("schedule", "batch_size"), message))
    found += contradictions(spec) + evaluation_misfits(
        spec.evaluation, spec.adversary.radius, isinstance(spec, DistillationSpec)
    )
    if teacher is not None and isinstance(spec, DistillationSpec):
        found += model_misfits(name, dataset, teacher, ("teacher",))
    return found


def contradictions(spec: TrainingSpec) -> list[FieldError]:
    """Settings of one job that exclude each other."""
    found, epochs = [], spec.schedule.epochs
    if spec.method.name == "n_fgsm" and spec.adversary.name != "n_fgsm":
        message = f"Method n_fgsm trains against its own adversary, not {spec.adversary.name!r}; pgd_at trains against that."
        found.append(FieldError(("adversary", "name"), message))
    if spec.method.name == "at_prm" and not hasattr(spec.student, "patch_size"):
        message = f"Method at_prm masks the patches of a vision transformer; {spec.student.architecture} has none."
        found.append(FieldError(("method", "name"), message))
    if spec.schedule.decay.name == "multi_step":
        late = [milestone for milestone in spec.schedule.decay.milestones if milestone >= epochs]
        if late:
            message = f"After epoch {late[0]} of {epochs} there is no step left for the rate to change; leave the milestone out."
            found.append(FieldError(("schedule", "decay", "milestones"), message))
    begins = {("method",): spec.method, ("averaging",): spec.averaging, ("awp",): spec.awp}
    for path, part in begins.items():
        begin = getattr(part, "begin", None)
        if begin is not None and begin >= epochs:
            found.append(
                FieldError(
                    (*path, "begin"), f"It would begin after {begin} epochs; there are {epochs}."
                )
            )
    return found


def evaluation_misfits(
    evaluation: Evaluation, radius: float, has_reference: bool
) -> list[FieldError]:
    """Measures that cannot be taken: ``radius`` is the one that attacks take over."""
    found = []
    for index, attack in enumerate(evaluation.attacks):
        if attack.name == "autoattack" and attack.radius is None and radius == 0:
            message = "AutoAttack needs a radius above 0; give it one of its own."
            found.append(FieldError(("evaluation", "attacks", index, "radius"), message))
    for index, analysis in enumerate(evaluation.analyses):
        if analysis.name in NEEDS_REFERENCE and not has_reference:
            message = f"{analysis.name} compares with another network, and this job has no teacher or reference."
            found.append(FieldError(("evaluation", "analyses", index, "name"), message))
        if analysis.name == "gradient_masking" and radius == 0:
            message = "gradient_masking attacks at the training adversary's radius, or an evaluation's, which must be above 0."
            found.append(FieldError(("evaluation", "analyses", index, "name"), message))
    return found


def network_misfits(
    network: Network,
    channels: int,
    height: int,
    width: int,
    path: tuple[str, ...],
    images: str = "the input",
) -> list[FieldError]:
    """Why a network cannot take such images; ``path`` leads to the network in the body, ``images`` names them."""
    facts, found = ARCHITECTURES[network.architecture], []
    if channels not in facts.channels:
        wanted = " or ".join(map(str, facts.channels))
        message = f"{facts.title} takes images of {wanted} channels; {images} has {channels}."
        found.append(FieldError((*path, "architecture"), message))
    elif channels != 3 and network.normalization != "none":
        message = f"Normalization {network.normalization!r} is for colour images; {images} has {channels} channels."
        found.append(FieldError((*path, "normalization"), message))
    if min(height, width) < facts.smallest_side:
        least = f"{facts.smallest_side}x{facts.smallest_side}"
        message = (
            f"{facts.title} takes images of at least {least} pixels; {images} has {height}x{width}."
        )
        found.append(FieldError((*path, "architecture"), message))
    side = exact_side(network)
    if side is not None and (height, width) != (side, side):
        message = f"{facts.title} with image_size {side} takes images of {side}x{side} pixels; {images} has {height}x{width}."
        found.append(FieldError((*path, "image_size"), message))
    return found


def model_misfits(
    name: str,
    dataset: DatasetDescription,
    model: ModelDescription,
    path: tuple[str, ...],
    *,
    classes: bool = True,
) -> list[FieldError]:
    """Why a stored model does not go with a data set; ``path`` is the field that names the model, such as ("teacher",)."""
    found, role = [], path[-1].replace("_", " ")
    if classes and model.classes != dataset.classes:
        message = f"The {role} tells {model.classes} classes apart; {name} has {dataset.classes}."
        found.append(FieldError(path, message))
    ours, theirs = (f"{it.channels}x{it.height}x{it.width}" for it in (dataset, model))
    if ours != theirs:
        message = (
            f"The {role} takes images of {theirs} (channels, height, width); {name} has {ours}."
        )
        found.append(FieldError(path, message))
    return found


def test_misfits(name: str, dataset: DatasetDescription) -> list[FieldError]:
    """A data set without test images can only be extra training data."""
    if dataset.test_images > 0:
        return []
    return [
        FieldError(
            ("data", "dataset"), f"{name} has no test images: it can only be extra training data."
        )
    ]


def augmentation_misfits(spec: TrainingSpec, dataset: DatasetDescription) -> list[FieldError]:
    """Images that were decoded to one size have nothing left to cut a box from."""
    augmentation = spec.data.augmentation
    if dataset.source == "encoded" or augmentation is None or augmentation.resized_crop is None:
        return []
    message = f"resized_crop is for data sets of encoded images; {spec.data.dataset} is {dataset.source}: crop_padding is for it."
    return [FieldError(("data", "augmentation", "resized_crop"), message)]


def extra_misfits(
    name: str, dataset: DatasetDescription, extra_name: str, extra: DatasetDescription
) -> list[FieldError]:
    """Why further training images do not go with a data set."""
    path, found = ("data", "extra", "dataset"), []
    ours, theirs = (f"{it.channels}x{it.height}x{it.width}" for it in (dataset, extra))
    if ours != theirs:
        found.append(
            FieldError(
                path,
                f"{extra_name} has images of {theirs} (channels, height, width); {name} has {ours}.",
            )
        )
    if extra.classes > dataset.classes:
        message = (
            f"{extra_name} has labels of {extra.classes} classes; {name} has {dataset.classes}."
        )
        found.append(FieldError(path, message))
    if extra.source != "packed":
        kind = {"digits": "is built in", "encoded": "has encoded images"}[extra.source]
        found.append(
            FieldError(
                path,
                f"{extra_name} {kind}; extra images come from an imported data set of decoded ones.",
            )
        )
    return found


def start_misfits(
    spec: TrainingSpec, dataset: DatasetDescription, start: ModelDescription
) -> list[FieldError]:
    """Why first weights cannot be taken from a stored model. Other classes are no reason: the classifier is then drawn anew."""
    path = ("start_from",)
    if start.network != spec.student:
        message = f"The student is to be {spec.student!r}, and start_from is {start.network!r}: they must be the same network."
        return [FieldError(path, message)]
    return model_misfits(spec.data.dataset, dataset, start, path, classes=False)
