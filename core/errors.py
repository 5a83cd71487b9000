"""Every error the service raises on purpose. Each has a sentence, a code and an HTTP status.

DistillError
├── Invalid            422  the request asks for something impossible (one FieldError per field)
├── Refused            422  the contents of an upload cannot be used
├── Malformed          400  the request cannot be parsed
├── Unauthenticated    401  no API key, or an invalid one
├── Forbidden          403  the API key lacks the scope
├── NotFound           404
├── Conflict           409  the state of a job, model or data set does not allow the request
├── TooLarge           413
├── RangeUnsatisfiable 416
├── Unavailable        503  try again later
├── WrongSchema        503  the database's schema is older or newer than this program's
├── LeaseLost          409  the attempt no longer owns its job: it must stop and write nothing
└── CorruptObject      500  stored bytes are not those that were written

JobFailed                   why an attempt at a job failed, and through whose fault

A docstring ends with the codes that its error may have, in addition to the class's own. A test
compares these lists with the code.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

FailureClass = Literal["user", "infrastructure", "timeout"]


@dataclass(frozen=True)
class FieldError:
    """A wrong field: its path in the body, such as ``("schedule", "epochs")``, and a sentence."""

    path: tuple[str | int, ...]
    message: str


class DistillError(Exception):
    """Base class. ``code`` is stable and meant for programs, ``message`` is a sentence for people.

    The API has subclasses of its own, for what only HTTP knows (``api.http.problems``).

    Codes: head_too_large, precondition_failed, rate_limited, request_timeout, sign_in_denied,
    sign_in_expired, sign_in_invalid, sign_in_no_project, sign_in_unavailable,
    unsupported_media_type, wrong_host, wrong_origin.
    """

    status = 500
    code = "internal_error"
    title = "Something went wrong"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class Invalid(DistillError):
    """The request is well-formed, but asks for something impossible.

    Codes: idempotency_key_reused, invalid_cursor, job_cannot_run, sweep_cannot_run,
    too_many_parameters, unknown_parameter.
    """

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
        """Return the error of one wrong field."""
        return cls(message, [FieldError(path, message)], code=code)


class Refused(DistillError):
    """The contents of an upload cannot be used.

    Codes: corrupt_archive, download_failed, empty_class, hash_mismatch, misshaped_keys,
    missing_keys, mixed_sizes, negative_variance, no_test_images, non_finite_weights,
    too_few_classes, too_large, too_small, unexpected_keys, unfitting_classes, unfitting_image_size,
    unknown_format, unknown_state_dict, unreadable_checkpoint, unreadable_folder, unreadable_image,
    unsafe_checkpoint, unsafe_dataset, unusable_array.
    """

    status = 422
    code = "refused_upload"
    title = "The upload cannot be used"


class Malformed(DistillError):
    """The request cannot be parsed.

    Codes: malformed_json, nested_too_deeply.
    """

    status = 400
    code = "malformed_request"
    title = "The request cannot be read"


class Unauthenticated(DistillError):
    """The request has no API key, or an invalid one."""

    status = 401
    code = "unauthenticated"
    title = "A valid API key is needed"


class Forbidden(DistillError):
    """The API key lacks the scope that the request needs."""

    status = 403
    code = "forbidden"
    title = "This key may not do that"


class NotFound(DistillError):
    """Nothing of this name or id exists in the key's project.

    Codes: no_images, no_report_yet.
    """

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(DistillError):
    """The state of a job, model or data set does not allow the request.

    Codes: built_in, dataset_built_in, dataset_not_ready, has_alias, idempotency_in_progress,
    illegal_move,
    importing, in_use, input_deleted, job_cancelled, job_cancelling, job_failed, job_not_ended,
    job_paused, job_pausing, job_running, job_succeeded, model_not_ready, name_taken,
    not_awaiting_upload, not_clonable, not_retryable, upload_in_progress.
    """

    status = 409
    code = "conflict"
    title = "Conflicts with the current state"


class TooLarge(DistillError):
    """The body of the request is larger than the service accepts."""

    status = 413
    code = "too_large"
    title = "Too large"


class RangeUnsatisfiable(DistillError):
    """The byte range lies outside the file."""

    status = 416
    code = "range_not_satisfiable"
    title = "No such byte range"


class Unavailable(DistillError):
    """The database or the object store cannot be used at the moment.

    Codes: storage_full, storage_refused.
    """

    status = 503
    code = "unavailable"
    title = "Not available at the moment"


class WrongSchema(DistillError):
    """The database's schema is older or newer than this program's."""

    status = 503
    code = "wrong_schema"
    title = "Program and database are of different versions"


class LeaseLost(DistillError):
    """The attempt no longer owns its job: it must stop and write nothing."""

    status = 409
    code = "lease_lost"
    title = "This attempt no longer owns its job"


class CorruptObject(DistillError):
    """The bytes of a stored object are not those that were written."""

    code = "corrupt_object"
    title = "Stored bytes are not those that were written"


@dataclass
class JobFailed(Exception):
    """Why an attempt at a job failed.

    ``failure_class`` says through whose fault, and so whether another attempt makes sense:
    ``user`` (no), ``infrastructure`` (yes) or ``timeout`` (once). An import job also fails with
    the codes of ``Refused``.

    Codes: accelerator_error, corrupt_input, corrupt_object, diverged, foreign_checkpoint,
    incomplete_checkpoint, io_error, machine_error, missing_input, no_compiler, no_such_folder,
    non_finite_loss, out_of_memory, storage_full, timeout, too_large, trainer_died, trainer_error,
    trainer_hung, trainer_stopped, unreadable_dataset, worker_error, worker_lost.
    """

    code: str
    failure_class: FailureClass
    message: str
    details: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


def strip_paths(message: str) -> str:
    """Replace each absolute path in the text by its last part.

    Messages of libraries often name files of this machine, which are not for callers.
    """
    return re.sub(r"(?<![\w.:/])/(?:[^\s/'\":]+/)+(?=[^\s/'\":])", "", message)
