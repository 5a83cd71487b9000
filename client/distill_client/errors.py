"""The client's exceptions; each one is a sentence.

ClientError
├── DistillProblem      the service refused the request or the upload, and says why (RFC 9457)
├── Unreachable         no response, after every retry
├── UnexpectedResponse  something responded, but not as the service does
└── CorruptDownload     the bytes that arrived differ from those that the service announced
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ClientError(Exception):
    """Base class of every error that this package raises."""


@dataclass(frozen=True)
class FieldProblem:
    """One invalid field of a request: its path in the body, and what is wrong with it."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message}"


class DistillProblem(ClientError):
    """A problem document of the service.

    ``code`` is stable and meant for programs; ``detail`` is a sentence; ``errors`` has one entry
    for each invalid field.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        *,
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id

    def __str__(self) -> str:
        # The detail often repeats the first field's message, without the field's path.
        if self.errors and self.errors[0].message in self.detail:
            return "\n".join(map(str, self.errors))
        return "\n".join([self.detail, *(f"  {error}" for error in self.errors)])


class Unreachable(ClientError):
    """The service did not respond, after every retry."""


class UnexpectedResponse(ClientError):
    """Something responded that does not look like the service."""


class CorruptDownload(ClientError):
    """A file arrived with another size or SHA-256 than the service announced."""
