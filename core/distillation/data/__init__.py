"""The data sets' table of contents. A job's images: ``load`` them, then ``split`` the training images for model selection."""

from collections.abc import Callable

from core.distillation.data import digits, packed
from core.distillation.data.augmentation import augment
from core.distillation.data.images import DataSet, Images
from core.distillation.data.stratified import split
from core.folder import JobFolder

__all__ = ["SOURCES", "DataSet", "Images", "augment", "load", "split"]

SOURCES: dict[str, Callable[[JobFolder], DataSet]] = {
    "digits": digits.load,
    "packed": packed.load,
}


def load(folder: JobFolder) -> DataSet:
    """The data set that the job folder describes, on the CPU. Raises JobFailed where its file is not what is described."""
    return SOURCES[folder.read_dataset().source](folder)
