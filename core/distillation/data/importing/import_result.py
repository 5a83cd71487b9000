"""What an importer returns once it has written a data set's file."""

from dataclasses import dataclass, field

from torch import Tensor

from core.distillation.data.importing.layout.ignored_files import IgnoredFiles
from core.jobspec.data import DatasetDescription


@dataclass(frozen=True, eq=False)
class ImportResult:
    """An imported data set, and what the import's report says of it. K classes."""

    description: DatasetDescription
    layout: str
    """A sentence: how the files were understood."""
    train_K: Tensor
    """Training images of each class."""
    test_K: Tensor
    """Test images of each class."""
    ignored: IgnoredFiles
    remarks: list[str] = field(default_factory=list)
    """More sentences: what was changed, or used in part."""
