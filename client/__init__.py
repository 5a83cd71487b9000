"""The service from Python: ``from client import Distill``. Needs neither torch nor a database on this machine."""

from client.distill import Distill
from client.errors import (
    ClientError,
    CorruptDownload,
    DistillProblem,
    UnexpectedAnswer,
    Unreachable,
)

__all__ = [
    "ClientError",
    "CorruptDownload",
    "Distill",
    "DistillProblem",
    "UnexpectedAnswer",
    "Unreachable",
]
