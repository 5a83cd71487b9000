"""The job folder: the contract between the supervisor, which has the credentials, and the trainer,
which has torch.

Written by the supervisor before it starts the trainer; which files there are depends on the job:

    spec.json                     the job's resolved spec
    teacher.json                  ModelDescription of the teacher (distillation)
    teacher.safetensors           its weights
    model.json                    ModelDescription of the network that an evaluation measures, or
                                  with whose weights a training starts
    model.safetensors             its weights
    dataset.json                  DatasetDescription of the data set
    dataset.safetensors           its images and labels (digits come with the program)
    extra.json                    DatasetDescription of the extra training images
    extra.safetensors             those images and their labels
    inputs.json                   ids and SHA-256 of these models and data sets in the service
    checkpoint.safetensors        where an earlier attempt stopped
    upload                        what an import opens: a file, or a link to a folder

Written by the supervisor while the trainer runs:

    stop                          a request to stop at the next step; its text is the reason:
                                  "cancel", "pause" or "release"
    uploading-NAME                a hard link to output/NAME while it is uploaded

Written by the trainer:

    events.jsonl                  what has happened, one Event per line
    output/                       checkpoints, weights, report, …; a file is complete once its
                                  FileReady event is written
    staging…                      temporary files of an import

The folder is the trainer's home and working directory, so that libraries may leave files of their
own in it. A person can create such a folder, too, and run the job:
``python -m core.distillation FOLDER``.
"""

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from core.atomic_files import sha256_of, write_atomically
from core.errors import FailureClass, JobFailed
from core.jobspec.data import DatasetDescription, ThumbnailSheet
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import JobSpec, parse
from core.jobspec.status import Phase
from core.jobspec.upgrades import upgrade
from core.reportspec.report import InputIdentity

OutputKind = Literal[
    "checkpoint", "weights", "report", "figure", "export", "model", "dataset", "thumbnails"
]


class _Event(BaseModel):
    model_config = {"frozen": True, "extra": "forbid", "ser_json_inf_nan": "null"}


class PhaseStarted(_Event):
    """The job enters a phase."""

    type: Literal["phase"] = "phase"
    phase: Phase


class Progress(_Event):
    """How far the trainer has got.

    ``step`` of ``of``: training steps; during an evaluation, units that depend on the measure.
    ``network`` and ``measure``: what an evaluation measures, and on which network.
    """

    type: Literal["progress"] = "progress"
    phase: Phase
    step: int
    of: int
    epoch: int | None = None
    epochs: int | None = None
    network: str | None = None
    measure: str | None = None
    eta_seconds: float | None = None


class Metrics(_Event):
    """Values of one training step, by name. ``step`` counts from 1 over the whole job."""

    type: Literal["metrics"] = "metrics"
    step: int
    values: dict[str, float]


class EpochCompleted(_Event):
    """Values of one epoch, by name. ``epoch`` and ``step`` count from 1 over the whole job."""

    type: Literal["epoch"] = "epoch"
    epoch: int
    step: int
    values: dict[str, float]


class FileReady(_Event):
    """A complete file in output/. What the supervisor does with it depends on ``kind``."""

    type: Literal["file"] = "file"
    name: str
    kind: OutputKind
    size: int
    sha256: str
    media_type: str = "application/octet-stream"
    step: int | None = None


class Measured(_Event):
    """One result of an evaluation. Accuracies are shares in [0, 1].

    The other fields are those of an accuracy; trainers of earlier versions emit none of them.
    """

    type: Literal["measured"] = "measured"
    network: str
    name: str
    value: float
    images: int | None = None
    interval: tuple[float, float] | None = None
    """Wilson's 95 % interval, with the images as a sample."""
    mask: str | None = None
    """Which images are correct: packed bits in base64, the first image in the highest bit."""
    image_set: str | None = None
    """Digest of the data set and the selection of its test images."""
    per_class: list[float | None] | None = None
    """Accuracy of each class; None for a class without images."""


class Resumed(_Event):
    """The trainer goes on from the checkpoint of this step."""

    type: Literal["resumed"] = "resumed"
    step: int


class Note(_Event):
    """A sentence for people."""

    type: Literal["note"] = "note"
    message: str


class Warned(_Event):
    """Something has gone wrong, or is about to, though the job goes on.

    ``code`` is stable and meant for programs: diverged, loss_grown, no_better_than_guessing,
    analysis_failed, export_failed, figure_failed or document_failed.
    """

    type: Literal["warning"] = "warning"
    code: str
    message: str


class Imported(_Event):
    """The result of an import job: a description of the model or data set."""

    type: Literal["imported"] = "imported"
    model: ModelDescription | None = None
    dataset: DatasetDescription | None = None
    parameters: int | None = None
    report: dict[str, Any] = {}
    sheets: tuple[ThumbnailSheet, ...] = ()
    """Thumbnails of a data set's images; their pictures are files of kind ``thumbnails``."""


class Ended(_Event):
    """The last event of a trainer that ended by itself.

    ``code``, ``failure_class`` and ``message`` belong to the outcome ``failed``, ``summary`` to
    ``succeeded``.
    """

    type: Literal["ended"] = "ended"
    outcome: Literal["succeeded", "failed", "stopped"]
    code: str | None = None
    failure_class: FailureClass | None = None
    message: str | None = None
    summary: dict[str, Any] = {}

    @property
    def failure(self) -> JobFailed | None:
        """The failure that the trainer reports; None for other outcomes than ``failed``."""
        if self.outcome != "failed":
            return None
        return JobFailed(
            self.code or "trainer_error",
            self.failure_class or "infrastructure",
            self.message or "The trainer failed without saying why.",
        )


Event = Annotated[
    PhaseStarted
    | Progress
    | Metrics
    | EpochCompleted
    | FileReady
    | Measured
    | Resumed
    | Note
    | Warned
    | Imported
    | Ended,
    Field(discriminator="type"),
]
_event_adapter: TypeAdapter[Event] = TypeAdapter(Event)

StopReason = Literal["cancel", "pause", "release"]


class JobFolder:
    """Paths of one job folder, and what supervisor and trainer read and write in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = path / "spec.json"
        self.teacher_description = path / "teacher.json"
        self.teacher_weights = path / "teacher.safetensors"
        self.model_description = path / "model.json"
        self.model_weights = path / "model.safetensors"
        self.dataset_description = path / "dataset.json"
        self.dataset_file = path / "dataset.safetensors"
        self.extra_description = path / "extra.json"
        self.extra_file = path / "extra.safetensors"
        self.inputs = path / "inputs.json"
        self.checkpoint = path / "checkpoint.safetensors"
        self.upload = path / "upload"
        self.stop = path / "stop"
        self.events = path / "events.jsonl"
        self.output = path / "output"

    # Used by the supervisor

    def create(
        self,
        spec: JobSpec,
        *,
        teacher: ModelDescription | None = None,
        model: ModelDescription | None = None,
        dataset: DatasetDescription | None = None,
        extra: DatasetDescription | None = None,
        inputs: Mapping[str, InputIdentity] | None = None,
    ) -> None:
        """Make the folder and write the spec and the descriptions into it.

        ``inputs``: by role (teacher, model, dataset, extra), which stored item each input is, for
        the report. The caller adds weights, images and labels.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        self.spec.write_text(spec.model_dump_json(indent=2))
        if teacher is not None:
            self.teacher_description.write_text(teacher.model_dump_json(indent=2))
        if model is not None:
            self.model_description.write_text(model.model_dump_json(indent=2))
        if dataset is not None:
            self.dataset_description.write_text(dataset.model_dump_json(indent=2))
        if extra is not None:
            self.extra_description.write_text(extra.model_dump_json(indent=2))
        identities = {role: identity.model_dump() for role, identity in (inputs or {}).items()}
        self.inputs.write_text(json.dumps(identities, indent=2))

    def request_stop(self, reason: StopReason) -> None:
        """Ask the trainer to stop at its next step. Only the first request counts."""
        if not self.stop.exists():
            write_atomically(self.stop, reason.encode())

    def read_events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Return the events of all complete lines from byte ``offset`` on, and the next offset."""
        if not self.events.exists():
            return [], offset
        with self.events.open("rb") as file:
            file.seek(offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        events = [_event_adapter.validate_json(line) for line in data[:end].splitlines()]
        return events, offset + end

    # Used by the trainer

    def read_spec(self) -> JobSpec:
        return parse(json.loads(_read_text(self.spec)))

    def read_teacher(self) -> ModelDescription:
        return _read_model_description(self.teacher_description)

    def read_model(self) -> ModelDescription:
        return _read_model_description(self.model_description)

    def read_dataset(self) -> DatasetDescription:
        return DatasetDescription.model_validate_json(_read_text(self.dataset_description))

    def read_extra(self) -> DatasetDescription:
        return DatasetDescription.model_validate_json(_read_text(self.extra_description))

    def read_inputs(self) -> dict[str, InputIdentity]:
        """Return which stored items the inputs are, by role; {} in a folder made by hand."""
        if not self.inputs.exists():
            return {}
        identities = json.loads(_read_text(self.inputs))
        return {role: InputIdentity(**identity) for role, identity in identities.items()}

    def emit(self, event: Event) -> None:
        """Append one complete line, or nothing. Raises OSError.

        On a full disk part of a line may be written; it is cut off, or it would corrupt the next.
        """
        line = event.model_dump_json().encode() + b"\n"
        with self.events.open("ab", buffering=0) as file:
            start = file.tell()
            if file.write(line) != len(line):
                file.truncate(start)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def stop_reason(self) -> str | None:
        """Return why the trainer is to stop; None if it is not."""
        return self.stop.read_text() if self.stop.exists() else None

    def stopped_event(self) -> Ended:
        """Return the last event of a trainer that stopped on request."""
        return Ended(
            outcome="stopped", message=f"Stopped on request ({self.stop_reason() or 'signal'})."
        )

    def save_file(
        self,
        name: str,
        data: bytes,
        kind: OutputKind,
        *,
        media_type: str = "application/octet-stream",
        step: int | None = None,
    ) -> FileReady:
        """Write output/NAME atomically and emit its FileReady event."""
        write_atomically(self.output / name, data)
        return self.emit_file_ready(name, kind, media_type=media_type, step=step)

    def emit_file_ready(
        self,
        name: str,
        kind: OutputKind,
        *,
        media_type: str = "application/octet-stream",
        step: int | None = None,
        progress: Callable[[int, int], None] = lambda bytes_read, size: None,
    ) -> FileReady:
        """Emit the FileReady event of output/NAME, which the caller has written.

        ``progress`` is called while the file is hashed, with the bytes read and the file's size.
        """
        path = self.output / name
        event = FileReady(
            name=name,
            kind=kind,
            size=path.stat().st_size,
            sha256=sha256_of(path, progress),
            media_type=media_type,
            step=step,
        )
        self.emit(event)
        return event


def _read_model_description(path: Path) -> ModelDescription:
    return ModelDescription.model_validate(upgrade(json.loads(_read_text(path))))


def _read_text(path: Path) -> str:
    """Return the text of a file that a person may have written: editors add a byte order mark."""
    return path.read_text(encoding="utf-8-sig")
