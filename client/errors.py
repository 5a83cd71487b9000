"""What can go wrong between this client and the service, as sentences.

ClientError
├── DistillProblem    the service refused the request, or what was uploaded; says so in its own words (RFC 9457)
├── Unreachable       no answer, after every retry
├── UnexpectedAnswer  something answered, but not the service
└── CorruptDownload   the bytes that arrived are not those that were promised
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ClientError(Exception):
    """Base of all."""


@dataclass(frozen=True)
class FieldProblem:
    """One field that is wrong: its path in the body, and a sentence."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message}"


class DistillProblem(ClientError):
    """``code`` is stable and meant for programs; ``detail`` is a sentence; ``errors`` has one entry per wrong field."""

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
        self.status, self.code, self.detail, self.errors, self.request_id = (
            status,
            code,
            detail,
            tuple(errors),
            request_id,
        )

    def __str__(self) -> str:
        if (
            self.errors and self.errors[0].message in self.detail
        ):  # the detail only says the same again, without the paths
            return "\n".join(map(str, self.errors))
        return "\n".join([self.detail, *(f"  {error}" for error in self.errors)])


class Unreachable(ClientError):
    pass


class UnexpectedAnswer(ClientError):
    pass


class CorruptDownload(ClientError):
    pass
