"""Every error the service raises on purpose, as sentences; each knows its HTTP status.

DistillError
├── Invalid            422  the request does not say something that can be done (one FieldError per field)
├── Refused            422  an upload's contents cannot be used
├── Malformed          400  the request itself cannot be read
├── Unauthenticated    401  no key, or none that is valid
├── Forbidden          403  a key without the needed scope
├── NotFound           404
├── Conflict           409  the thing is in another state than the request needs
├── TooLarge           413
├── RangeUnsatisfiable 416
├── Unavailable        503  try again later
├── WrongSchema        503  the database's schema is older or newer than this program
├── LeaseLost          409  this attempt no longer owns its job: stop, write nothing
├── CorruptObject      500  stored bytes are not those that were written
└── JobFailed          500  a job cannot go on; says whose fault it is
"""

import re
from dataclasses import dataclass, field
from typing import Literal

FailureClass = Literal["user", "infrastructure", "timeout"]


@dataclass(frozen=True)
class FieldError:
    """One field that is wrong: its path in the body (``["schedule", "epochs"]``) and a sentence."""

    path: tuple[str | int, ...]
    message: str


class DistillError(Exception):
    """Base of all; ``code`` is stable and meant for programs, the message is a sentence for people."""

    status = 500
    code = "internal_error"
    title = "Something went wrong"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class Invalid(DistillError):
    status = 422
    code = "invalid_request"
    title = "The request cannot be carried out as written"

    def __init__(
        self, message: str, errors: list[FieldError] | None = None, *, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.errors = errors or []

    @classmethod
    def field(cls, *path: str | int, message: str, code: str | None = None) -> "Invalid":
        """The common case: one field is wrong."""
        return cls(message, [FieldError(path, message)], code=code)


class Refused(DistillError):
    """Codes: unsafe_checkpoint, unreadable_checkpoint, missing_keys, misshaped_keys, unexpected_keys,
    non_finite_weights, unsafe_dataset, corrupt_archive, unreadable_image, empty_class, unknown_format, too_large,
    hash_mismatch, mixed_sizes, too_small, too_few_classes, no_test_images, download_failed."""

    status = 422
    code = "refused_upload"
    title = "The upload cannot be used"


class Malformed(DistillError):
    status = 400
    code = "malformed_request"
    title = "The request cannot be read"


class Unauthenticated(DistillError):
    status = 401
    code = "unauthenticated"
    title = "A valid API key is needed"


class Forbidden(DistillError):
    status = 403
    code = "forbidden"
    title = "This key may not do that"


class NotFound(DistillError):
    status = 404
    code = "not_found"
    title = "No such thing"


class Conflict(DistillError):
    status = 409
    code = "conflict"
    title = "Not possible in the present state"


class TooLarge(DistillError):
    status = 413
    code = "too_large"
    title = "Too large"


class RangeUnsatisfiable(DistillError):
    status = 416
    code = "range_not_satisfiable"
    title = "No such byte range"


class Unavailable(DistillError):
    status = 503
    code = "unavailable"
    title = "Not available at the moment"


class WrongSchema(DistillError):
    status = 503
    code = "wrong_schema"
    title = "Program and database are of different versions"


class LeaseLost(DistillError):
    status = 409
    code = "lease_lost"
    title = "This attempt no longer owns its job"


class CorruptObject(DistillError):
    code = "corrupt_object"
    title = "Stored bytes are not those that were written"


@dataclass
class JobFailed(Exception):
    """A job cannot go on. ``failure_class`` decides whether another attempt makes sense (infrastructure) or not."""

    code: str
    failure_class: FailureClass
    message: str
    details: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


def strip_paths(message: str) -> str:
    """What libraries say often names files of this machine: of their absolute paths only the last part is for callers."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/'\":]+/)+(?=[^\s/'\":])", "", message)
