"""The job folder: the one contract between the supervisor, which has the credentials, and the trainer, which has torch.

    spec.json                     the job, fully resolved                          supervisor writes
    teacher.json                  ModelDescription of the teacher                  (distillation)
    teacher.safetensors           its weights
    dataset.json                  DatasetDescription
    dataset.safetensors           its images and labels (unless it comes with the program)
    checkpoint.safetensors        where an earlier attempt stopped                 (resumed jobs)
    upload                        the bytes, or a link to the folder, to be opened (import jobs)
    stop                          present: stop at the next step; its text says why ("cancel", "pause" or "release")
    events.jsonl                  what happened, one Event a line                  trainer writes
    output/                       checkpoints, weights, report: complete once their FileReady event is there

A person can lay out such a folder too and run it: ``python -m core.distillation FOLDER``.
"""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from core.atomic_files import sha256_of, write_atomically
from core.errors import FailureClass
from core.jobspec.data import DatasetDescription
from core.jobspec.job import JobSpec, parse
from core.jobspec.network import ModelDescription
from core.jobspec.status import Phase

FileKind = Literal["checkpoint", "weights", "report", "figure", "export", "model", "dataset"]


class _Event(BaseModel):
    model_config = {"frozen": True, "extra": "forbid", "ser_json_inf_nan": "null"}


class PhaseBegan(_Event):
    type: Literal["phase"] = "phase"
    phase: Phase


class Progress(_Event):
    """Where it stands. ``of`` and ``step`` count training steps; while evaluating, units of the measure's own."""

    type: Literal["progress"] = "progress"
    phase: Phase
    step: int
    of: int
    epoch: int | None = None
    epochs: int | None = None
    network: str | None = None
    """While evaluating: which network is measured, and how."""
    measure: str | None = None
    eta_seconds: float | None = None


class Metrics(_Event):
    """Values of one training step, by name; ``step`` counts from 1 over the whole job."""

    type: Literal["metrics"] = "metrics"
    step: int
    values: dict[str, float]


class EpochDone(_Event):
    type: Literal["epoch"] = "epoch"
    epoch: int
    step: int
    values: dict[str, float]


class FileReady(_Event):
    """A complete file in output/. ``kind`` decides what the supervisor does with it."""

    type: Literal["file"] = "file"
    name: str
    kind: FileKind
    size: int
    sha256: str
    media_type: str = "application/octet-stream"
    step: int | None = None


class Measured(_Event):
    """One number of the evaluation; accuracies are shares in [0, 1]."""

    type: Literal["measured"] = "measured"
    network: str
    name: str
    value: float


class Resumed(_Event):
    type: Literal["resumed"] = "resumed"
    step: int


class Note(_Event):
    type: Literal["note"] = "note"
    message: str


class Imported(_Event):
    """An import job's result: what the model or data set turned out to be."""

    type: Literal["imported"] = "imported"
    model: ModelDescription | None = None
    dataset: DatasetDescription | None = None
    parameters: int | None = None
    report: dict[str, Any] = {}


class Ended(_Event):
    """The last event of a trainer that ended by itself."""

    type: Literal["ended"] = "ended"
    outcome: Literal["succeeded", "failed", "stopped"]
    code: str | None = None
    failure_class: FailureClass | None = None
    message: str | None = None
    summary: dict[str, Any] = {}


Event = Annotated[
    PhaseBegan
    | Progress
    | Metrics
    | EpochDone
    | FileReady
    | Measured
    | Resumed
    | Note
    | Imported
    | Ended,
    Field(discriminator="type"),
]
_events: TypeAdapter[Event] = TypeAdapter(Event)

StopReason = Literal["cancel", "pause", "release"]


class JobFolder:
    """Paths of one job folder, and the two-way traffic in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = path / "spec.json"
        self.teacher_description = path / "teacher.json"
        self.teacher_weights = path / "teacher.safetensors"
        self.model_description = path / "model.json"
        """Of the network that is evaluated, or whose weights a training begins with."""
        self.model_weights = path / "model.safetensors"
        self.dataset_description = path / "dataset.json"
        self.dataset_file = path / "dataset.safetensors"
        self.extra_description = path / "extra.json"
        self.extra_file = path / "extra.safetensors"
        self.checkpoint = path / "checkpoint.safetensors"
        self.upload = path / "upload"
        self.stop = path / "stop"
        self.events = path / "events.jsonl"
        self.output = path / "output"

    # -- the supervisor's side

    def lay_out(
        self,
        spec: JobSpec,
        *,
        teacher: ModelDescription | None = None,
        model: ModelDescription | None = None,
        dataset: DatasetDescription | None = None,
        extra: DatasetDescription | None = None,
    ) -> None:
        """Make the folder and write every description into it; weights and data are put beside them by the caller."""
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

    def ask_to_stop(self, reason: StopReason) -> None:
        if not self.stop.exists():
            write_atomically(self.stop, reason.encode())

    def read_events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Every complete line from byte ``offset`` on, and the offset to go on from."""
        if not self.events.exists():
            return [], offset
        with self.events.open("rb") as file:
            file.seek(offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        return [_events.validate_json(line) for line in data[:end].splitlines()], offset + end

    # -- the trainer's side

    def read_spec(self) -> JobSpec:
        return parse(json.loads(self.spec.read_text()))

    def read_teacher(self) -> ModelDescription:
        return ModelDescription.model_validate_json(self.teacher_description.read_text())

    def read_model(self) -> ModelDescription:
        return ModelDescription.model_validate_json(self.model_description.read_text())

    def read_dataset(self) -> DatasetDescription:
        return DatasetDescription.model_validate_json(self.dataset_description.read_text())

    def read_extra(self) -> DatasetDescription:
        return DatasetDescription.model_validate_json(self.extra_description.read_text())

    def say(self, event: Event) -> None:
        """A whole line or nothing: what did not fit on the disk would spoil the next one."""
        line = event.model_dump_json().encode() + b"\n"
        with self.events.open("ab", buffering=0) as file:
            begun = file.tell()
            if file.write(line) != len(line):
                file.truncate(begun)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def stop_reason(self) -> str | None:
        return self.stop.read_text() if self.stop.exists() else None

    def stopped(self) -> Ended:
        """The end of whoever was asked to stop."""
        return Ended(
            outcome="stopped", message=f"Stopped on request ({self.stop_reason() or 'signal'})."
        )

    def publish(
        self,
        name: str,
        data: bytes,
        kind: FileKind,
        *,
        media_type: str = "application/octet-stream",
        step: int | None = None,
    ) -> FileReady:
        """Write output/NAME whole (temp, fsync, rename) and say so."""
        write_atomically(self.output / name, data)
        return self.announce(name, kind, media_type=media_type, step=step)

    def announce(
        self,
        name: str,
        kind: FileKind,
        *,
        media_type: str = "application/octet-stream",
        step: int | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> FileReady:
        """Say that output/NAME, written by other means, is complete. ``progress``: of hashing it, in bytes."""
        path = self.output / name
        size, digest = path.stat().st_size, sha256_of(path, progress)
        event = FileReady(
            name=name, kind=kind, size=size, sha256=digest, media_type=media_type, step=step
        )
        self.say(event)
        return event
