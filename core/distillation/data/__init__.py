"""The data sets that jobs read: ``load`` one, then ``split`` its training images.

``importing`` writes their files from uploads; nothing here imports it.
"""

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
"""By the ``source`` of a data set's description."""


def load(folder: JobFolder) -> DataSet:
    """Load the data set that the job folder describes, on the CPU.

    Raises JobFailed (unreadable_dataset) where its file does not match the description.
    """
    return SOURCES[folder.read_dataset().source](folder)


def load_extra(folder: JobFolder) -> ImageSource | None:
    """Map the extra training images of the job folder; None where the job has none.

    The images stay on disk.
    """
    if not folder.extra_description.exists():
        return None
    return packed.load_mapped(folder.extra_file, folder.read_extra())
