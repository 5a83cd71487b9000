"""Do data sets, extra images and augmentation go together? Asked once, at submission."""

from core.errors import FieldError
from core.spec.data import Augmentation, DatasetDescription


def default_augmentation(dataset: DatasetDescription) -> Augmentation:
    """Encoded images: random resized crop and flip; colour images: crop with an eighth of the side as padding, and flip;
    grey ones: none."""
    if dataset.source == "encoded":
        return Augmentation(random_resized_crop=True, crop_padding=0)
    colour = dataset.channels == 3
    return Augmentation(crop_padding=min(dataset.height, dataset.width) // 8 if colour else 0, flip=colour)


def main_misfits(name: str, dataset: DatasetDescription, augmentation: Augmentation | None = None) -> list[FieldError]:
    """Why a job cannot use a data set as its own: a data set without test images can only be extra training data."""
    found = []
    if dataset.test_images == 0:
        found.append(FieldError(("data", "dataset"), f"{name} has no test images: it can only be extra training data."))
    if augmentation is not None and augmentation.random_resized_crop and dataset.source != "encoded":
        message = f"random_resized_crop is for encoded data sets; the images of {name} have one size already. Use crop_padding."
        found.append(FieldError(("data", "augmentation", "random_resized_crop"), message))
    return found


def extra_misfits(name: str, dataset: DatasetDescription, extra_name: str, extra: DatasetDescription) -> list[FieldError]:
    """Why further training images do not go with a data set."""
    path = ("data", "extra", "dataset")
    if extra.source == "digits":
        return [FieldError(path, f"{extra_name} is built in; extra images come from an imported data set.")]
    found = []
    ours, theirs = (f"{it.channels}x{it.height}x{it.width}" for it in (dataset, extra))
    if ours != theirs:
        found.append(FieldError(path, f"{extra_name} has images of {theirs} (channels, height, width); {name} has {ours}."))
    if extra.classes > dataset.classes:
        message = f"{extra_name} has labels of {extra.classes} classes; {name} has {dataset.classes}."
        found.append(FieldError(path, message))
    encoded = [it for it, its in ((name, dataset), (extra_name, extra)) if its.source == "encoded"]
    if len(encoded) == 1:
        message = f"{encoded[0]} is encoded and the other is not: {name} and {extra_name} could not be augmented alike."
        found.append(FieldError(path, message))
    return found
