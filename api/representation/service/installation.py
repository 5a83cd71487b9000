"""What an installation is and allows, as a response."""

from typing import Literal

from api.representation.schemas import ResponseBody

DatasetImport = Literal["upload", "folder", "download"]


class ServiceResponse(ResponseBody):
    version: str
    dataset_imports: list[DatasetImport]
    """From where a data set may come: an archive that is uploaded, the operator's data folder
    (`folder`), or a worker's download (`download`). Others are refused."""
    max_upload_bytes: int
    """Largest upload of a model or data set."""
    restore_days: float
    """Days during which what was deleted can be restored."""
