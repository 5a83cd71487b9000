"""The data sets' table of contents. A job's images: ``load`` them, then ``split`` the training images for model selection."""

from collections.abc import Callable

from core.distillation.data import digits, encoded, packed
from core.distillation.data.augmentation import augment
from core.distillation.data.images import DataSet, Images, ImageSource
from core.distillation.data.stratified import split
from core.job_folder import JobFolder

__all__ = ["SOURCES", "DataSet", "ImageSource", "Images", "augment", "load", "load_extra", "split"]

SOURCES: dict[str, Callable[[JobFolder], DataSet]] = {
    "digits": digits.load,
    "packed": packed.load,
    "encoded": encoded.load,
}


def load(folder: JobFolder) -> DataSet:
    """The data set that the job folder describes, on the CPU. Raises JobFailed where its file is not what is described."""
    return SOURCES[folder.read_dataset().source](folder)


def load_extra(folder: JobFolder) -> ImageSource | None:
    """The further training images that the job folder describes, left on disk; None where there are none."""
    if not folder.extra_description.exists():
        return None
    return packed.load_mapped(folder.extra_file, folder.read_extra())
