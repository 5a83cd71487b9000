"""Checks of a data set's file that all of its formats share. N images."""

from torch import Tensor

from core.errors import JobFailed
from core.job_folder import JobFolder
from core.jobspec.data import DatasetDescription


def require_file(folder: JobFolder) -> str:
    """Return the file name of the job's data set. Raises JobFailed where the file is missing."""
    if not folder.dataset_file.is_file():
        raise unreadable_dataset(
            f"The job's data set, {folder.dataset_file.name}, is not in its folder."
        )
    return folder.dataset_file.name


def check_labels(part: str, labels_N: Tensor, description: DatasetDescription) -> None:
    """Raise JobFailed unless every label is that of a class."""
    lowest, highest = (int(label) for label in labels_N.aminmax())
    if lowest < 0 or highest >= description.classes:
        raise unreadable_dataset(
            f"The {part} labels go from {lowest} to {highest}; the description has "
            f"{description.classes} classes."
        )


def unreadable_dataset(message: str) -> JobFailed:
    return JobFailed(code="unreadable_dataset", failure_class="user", message=message)
