"""Whether the parts of a job fit together. Checked once, at submission.

Each function returns its problems as FieldErrors: the field to change, and a sentence.
"""

from core.errors import FieldError
from core.jobspec.data import DatasetDescription
from core.jobspec.evaluation import NEEDS_REFERENCE, Evaluation
from core.jobspec.job import DistillationSpec, TrainingSpec
from core.jobspec.network import (
    ARCHITECTURES,
    Architecture,
    ModelDescription,
    Network,
    required_image_size,
)

FieldPath = tuple[str, ...]


def held_out_images(spec: TrainingSpec, dataset: DatasetDescription) -> int:
    """Return the number of training images held out for model selection: at least one."""
    return max(1, round(_used_images(spec, dataset) * spec.data.held_out))


def steps_per_epoch(spec: TrainingSpec, dataset: DatasetDescription) -> int:
    """Return the number of complete batches; 0 where a batch is larger than the training set."""
    training_images = _used_images(spec, dataset) - held_out_images(spec, dataset)
    return training_images // spec.schedule.batch_size


def _used_images(spec: TrainingSpec, dataset: DatasetDescription) -> int:
    return min(spec.data.limit or dataset.train_images, dataset.train_images)


def training_problems(
    spec: TrainingSpec, dataset: DatasetDescription, teacher: ModelDescription | None
) -> list[FieldError]:
    """Return every reason why this job cannot run; empty where it can."""
    is_distillation = isinstance(spec, DistillationSpec)
    name = spec.data.dataset
    shape = (dataset.channels, dataset.height, dataset.width)
    problems = network_problems(spec.student, *shape, ("student",), name)
    problems += missing_test_image_problems(name, dataset)
    problems += augmentation_problems(spec, dataset)
    problems += _batch_size_problems(spec, dataset)
    problems += _extra_ratio_problems(spec)
    problems += setting_problems(spec)
    problems += evaluation_problems(spec.evaluation, spec.adversary.radius, is_distillation)
    if teacher is not None and is_distillation:
        problems += model_problems(name, dataset, teacher, ("teacher",))
    return problems


def _batch_size_problems(spec: TrainingSpec, dataset: DatasetDescription) -> list[FieldError]:
    if steps_per_epoch(spec, dataset) >= 1:
        return []
    held_out = held_out_images(spec, dataset)
    remaining = _used_images(spec, dataset) - held_out
    message = (
        f"A batch of {spec.schedule.batch_size} is larger than the {remaining} training images "
        f"that remain when {held_out} are held out."
    )
    return [FieldError(("schedule", "batch_size"), message)]


def _extra_ratio_problems(spec: TrainingSpec) -> list[FieldError]:
    """A batch that has no room for both kinds of images would leave one of them out unseen."""
    extra = spec.data.extra
    if extra is None:
        return []
    batch_size = spec.schedule.batch_size
    extra_images = extra_images_per_batch(batch_size, extra.ratio)
    if 0 < extra_images < batch_size:
        return []
    message = (
        f"A ratio of {extra.ratio} makes {extra_images} of {batch_size} images in a batch extra "
        "ones; a batch needs at least one extra image and one of the data set."
    )
    return [FieldError(("data", "extra", "ratio"), message)]


def extra_images_per_batch(batch_size: int, ratio: float) -> int:
    """Return the number of extra images in a batch; ``ratio`` is their share."""
    return round(batch_size * ratio)


def setting_problems(spec: TrainingSpec) -> list[FieldError]:
    """Settings of one job that exclude each other."""
    problems = []
    epochs = spec.schedule.epochs
    if spec.method.name == "n_fgsm" and spec.adversary.name != "n_fgsm":
        message = (
            f"Method n_fgsm trains against its own adversary, not {spec.adversary.name!r}; "
            "use pgd_at for that one."
        )
        problems.append(FieldError(("adversary", "name"), message))
    if spec.method.name == "at_prm" and not hasattr(spec.student, "patch_size"):
        message = (
            "Method at_prm masks the patches of a vision transformer; "
            f"{spec.student.architecture} has none."
        )
        problems.append(FieldError(("method", "name"), message))
    if spec.schedule.decay.name == "multi_step":
        late = [milestone for milestone in spec.schedule.decay.milestones if milestone >= epochs]
        if late:
            message = (
                f"No step is left for a new rate after epoch {late[0]} of {epochs}; "
                "remove this milestone."
            )
            problems.append(FieldError(("schedule", "decay", "milestones"), message))
    parts = {"method": spec.method, "averaging": spec.averaging, "awp": spec.awp}
    for field, part in parts.items():
        begin = getattr(part, "begin", None)
        if begin is not None and begin >= epochs:
            message = f"This would begin after {begin} epochs; the job has {epochs}."
            problems.append(FieldError((field, "begin"), message))
    return problems


def evaluation_problems(
    evaluation: Evaluation, radius: float, has_reference: bool
) -> list[FieldError]:
    """Attacks and analyses that cannot run; ``radius`` is that of attacks without their own."""
    problems = []
    for index, attack in enumerate(evaluation.attacks):
        if attack.name == "autoattack" and attack.radius is None and radius == 0:
            message = "AutoAttack needs a radius above 0; set its own."
            problems.append(FieldError(("evaluation", "attacks", index, "radius"), message))
    for index, analysis in enumerate(evaluation.analyses):
        path = ("evaluation", "analyses", index, "name")
        if analysis.name in NEEDS_REFERENCE and not has_reference:
            message = (
                f"{analysis.name} compares with another network, "
                "and this job has no teacher or reference."
            )
            problems.append(FieldError(path, message))
        if analysis.name == "gradient_masking" and radius == 0:
            message = (
                "gradient_masking attacks at the radius of the training adversary, or of the "
                "evaluation, which must be above 0."
            )
            problems.append(FieldError(path, message))
    return problems


def network_problems(
    network: Network,
    channels: int,
    height: int,
    width: int,
    path: FieldPath,
    images: str = "the input",
) -> list[FieldError]:
    """Return why a network cannot take such images.

    ``path`` leads to the network in the request's body; ``images`` names the images in sentences.
    """
    architecture = ARCHITECTURES[network.architecture]
    title = architecture.title
    problems = _channel_problems(network, architecture, channels, path, images)
    if min(height, width) < architecture.min_side:
        least = f"{architecture.min_side}x{architecture.min_side}"
        message = f"{title} takes images of at least {least} pixels; {images} has {height}x{width}."
        problems.append(FieldError((*path, "architecture"), message))
    side = required_image_size(network)
    if side is not None and (height, width) != (side, side):
        message = (
            f"{title} with image_size {side} takes images of {side}x{side} pixels; "
            f"{images} has {height}x{width}."
        )
        problems.append(FieldError((*path, "image_size"), message))
    return problems


def _channel_problems(
    network: Network, architecture: Architecture, channels: int, path: FieldPath, images: str
) -> list[FieldError]:
    if channels not in architecture.channels:
        supported = " or ".join(map(str, architecture.channels))
        message = (
            f"{architecture.title} takes images of {supported} channels; {images} has {channels}."
        )
        return [FieldError((*path, "architecture"), message)]
    if channels != 3 and network.normalization != "none":
        message = (
            f"Normalization {network.normalization!r} is for color images; "
            f"{images} has {channels} channels."
        )
        return [FieldError((*path, "normalization"), message)]
    return []


def model_problems(
    name: str,
    dataset: DatasetDescription,
    model: ModelDescription,
    path: FieldPath,
    *,
    compare_classes: bool = True,
) -> list[FieldError]:
    """Return why a stored model does not fit a data set.

    ``path`` is the field that names the model, such as ("teacher",).
    """
    problems = []
    role = path[-1].replace("_", " ")
    if compare_classes and model.classes != dataset.classes:
        message = f"The {role} distinguishes {model.classes} classes; {name} has {dataset.classes}."
        problems.append(FieldError(path, message))
    if _shape(model) != _shape(dataset):
        message = (
            f"The {role} takes images of {_shape(model)} (channels, height, width); "
            f"{name} has {_shape(dataset)}."
        )
        problems.append(FieldError(path, message))
    return problems


def _shape(description: DatasetDescription | ModelDescription) -> str:
    return f"{description.channels}x{description.height}x{description.width}"


def missing_test_image_problems(name: str, dataset: DatasetDescription) -> list[FieldError]:
    """A data set without test images can only be extra training data."""
    if dataset.test_images > 0:
        return []
    message = f"{name} has no test images: it can only be extra training data."
    return [FieldError(("data", "dataset"), message)]


def augmentation_problems(spec: TrainingSpec, dataset: DatasetDescription) -> list[FieldError]:
    """Only encoded images can get a resized crop: others were decoded to one size."""
    augmentation = spec.data.augmentation
    if dataset.source == "encoded" or augmentation is None or augmentation.resized_crop is None:
        return []
    message = (
        f"resized_crop is for data sets of encoded images; {spec.data.dataset} is "
        f"{dataset.source}: use crop_padding."
    )
    return [FieldError(("data", "augmentation", "resized_crop"), message)]


def extra_data_problems(
    name: str, dataset: DatasetDescription, extra_name: str, extra: DatasetDescription
) -> list[FieldError]:
    """Return why extra training images do not fit a data set."""
    messages = []
    if _shape(extra) != _shape(dataset):
        messages.append(
            f"{extra_name} has images of {_shape(extra)} (channels, height, width); "
            f"{name} has {_shape(dataset)}."
        )
    if extra.classes > dataset.classes:
        messages.append(
            f"{extra_name} has labels of {extra.classes} classes; {name} has {dataset.classes}."
        )
    if extra.source != "packed":
        reason = {"digits": "is built in", "encoded": "has encoded images"}[extra.source]
        messages.append(
            f"{extra_name} {reason}; extra images come from an imported data set of decoded ones."
        )
    return [FieldError(("data", "extra", "dataset"), message) for message in messages]


def start_from_problems(
    spec: TrainingSpec, dataset: DatasetDescription, model: ModelDescription
) -> list[FieldError]:
    """Return why the student cannot start from a stored model's weights.

    Other classes are no problem: the classifier then starts from random weights.
    """
    path = ("start_from",)
    if model.network != spec.student:
        message = (
            f"The student is {spec.student!r}, and start_from is {model.network!r}: "
            "they must be the same network."
        )
        return [FieldError(path, message)]
    return model_problems(spec.data.dataset, dataset, model, path, compare_classes=False)
