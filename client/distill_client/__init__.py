"""A distill service from Python: ``from distill_client import Distill``.

The client speaks to the service's REST interface only; it needs neither torch nor a database.
"""

from distill_client.client import Distill
from distill_client.errors import (
    ClientError,
    CorruptDownload,
    DistillProblem,
    UnexpectedResponse,
    Unreachable,
)

__all__ = [
    "ClientError",
    "CorruptDownload",
    "Distill",
    "DistillProblem",
    "UnexpectedResponse",
    "Unreachable",
]
