"""Publishing what a trainer emits: object first, row second, every row fenced by the attempt."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from core.errors import Unavailable
from core.job_folder import (
    Ended,
    EpochCompleted,
    Event,
    FileReady,
    Imported,
    JobFolder,
    Measured,
    Metrics,
    Note,
    PhaseStarted,
    Progress,
    Resumed,
    Warned,
)
from core.store import artifacts, events, metrics, project_events
from core.store.attempts import Attempt
from core.store.database.fence import FencedSession
from core.store.database.tables import JobRow
from core.store.objects.store import Objects, artifact_key, checkpoint_key
from core.store.results import rows
from core.store.results.rows import MeasuredResult, decode_mask

EVENT_FIELDS = {"network", "name", "value", "images", "interval"}
"""Of a measured number, what its event holds; masks are in the job's results only."""


class PublishedFile(NamedTuple):
    """A file in the object store. ``size`` in bytes."""

    object_key: str
    size: int
    sha256: str


class Outputs:
    """Publishes the events and files of one job folder.

    ``files``: those published so far, by name. ``import_event`` and ``ended_event``: the latest
    event of that type.
    """

    def __init__(
        self,
        objects: Objects,
        attempt: Attempt,
        folder: JobFolder,
        keep_checkpoints: int,
        check: Callable[[], None],
    ) -> None:
        """``keep_checkpoints``: how many stay stored, those of the highest steps. Each also holds
        the best student so far, so that none is lost with an older checkpoint.

        ``check`` is called before anything is stored, and for every part of a file. It raises if
        nothing may be stored.
        """
        self.objects = objects
        self.attempt = attempt
        self.folder = folder
        self.keep_checkpoints = keep_checkpoints
        self.check = check
        self.files: dict[str, PublishedFile] = {}
        self.import_event: Imported | None = None
        self.ended_event: Ended | None = None
        self._offset = 0
        self._next_progress = 0.0
        """When the next progress may be recorded for the project, by the monotonic clock."""
        self._unreferenced_keys: list[str] = []
        """Keys of objects that no row refers to any more, to be deleted after the commit."""

    def publish_new_events(self) -> None:
        """Publish every event since the last call.

        If the store cannot be reached, the next call starts with the same events.
        """
        new_events, offset = self.folder.read_events(self._offset)
        if not new_events:
            return
        self.check()
        for file in files_to_upload(new_events):
            self._upload(file)
        self._unreferenced_keys = []
        with self.attempt.fenced_session() as (session, job):
            for event in new_events:
                self._record(session, job, event)
            self._unreferenced_keys += artifacts.prune_checkpoints(
                session, self.attempt.job_id, self.keep_checkpoints
            )
        self._offset = offset
        for key in self._unreferenced_keys:
            with suppress(Unavailable):
                self.objects.delete(key)

    def _upload(self, event: FileReady) -> None:
        if event.name in self.files:
            return
        # The trainer may remove an old checkpoint at any time: a hard link keeps its bytes.
        link = self.folder.path / f"uploading-{event.name}"
        try:
            os.link(self.folder.output / event.name, link)
        except FileNotFoundError:
            return
        make_key = checkpoint_key if event.kind == "checkpoint" else artifact_key
        key = make_key(self.attempt.job_id, self.attempt.number, event.name)
        try:
            size, sha256 = self.objects.put_file(key, link, self.check)
        finally:
            link.unlink()
        if (size, sha256) != (event.size, event.sha256):
            raise OSError(f"{event.name} changed after it was announced")
        self.files[event.name] = PublishedFile(key, size, sha256)

    def _record(self, session: FencedSession, job: JobRow, event: Event) -> None:
        match event:
            case PhaseStarted():
                job.phase = event.phase
                job.progress = None
                events.append(session, job, "phase", {"phase": event.phase})
            case Progress():
                job.progress = event.model_dump(exclude={"type"}, exclude_none=True)
                self._record_progress(session, job)
            case Metrics():
                metrics.record(session, job.id, self.attempt.number, event.step, event.values)
            case EpochCompleted():
                values = {f"epoch_{name}": value for name, value in event.values.items()}
                metrics.record(session, job.id, self.attempt.number, event.step, values)
                events.append(session, job, "epoch", event.model_dump(exclude={"type"}))
            case FileReady():
                self._record_file(session, job, event)
            case Measured():
                results = dict(job.results or {})
                results[event.network] = {**results.get(event.network, {}), event.name: event.value}
                job.results = results
                rows.record(session, job, _measured_result(event))
                fields = event.model_dump(include=EVENT_FIELDS, exclude_none=True)
                events.append(session, job, "measured", fields)
            case Imported():
                self.import_event = event
            case Ended():
                self.ended_event = event
            case Resumed() | Note() | Warned():
                events.append(session, job, event.type, event.model_dump(exclude={"type"}))

    def _record_progress(self, session: FencedSession, job: JobRow) -> None:
        """Tell the project of the job's progress, but not of every step."""
        if time.monotonic() >= self._next_progress:
            project_events.record_job(session, job, "progress")
            self._next_progress = time.monotonic() + project_events.PROGRESS_SECONDS

    def _record_file(self, session: FencedSession, job: JobRow, event: FileReady) -> None:
        file = self.files.get(event.name)
        if file is None:
            return
        # Not written as ``in {...}``, which the type checker does not follow. An import's result
        # is no artifact of the job, but the model or data set itself.
        if event.kind == "model" or event.kind == "dataset":  # noqa: PLR1714
            return
        if event.kind == "thumbnails":
            return
        _, replaced_key = artifacts.record(
            session,
            job.id,
            attempt=self.attempt.number,
            name=event.name,
            kind=event.kind,
            object_key=file.object_key,
            size=file.size,
            sha256=file.sha256,
            media_type=event.media_type,
            step=event.step,
        )
        if replaced_key is not None:
            self._unreferenced_keys.append(replaced_key)
        events.append(session, job, "file", event.model_dump(exclude={"type"}))


def _measured_result(event: Measured) -> MeasuredResult:
    return MeasuredResult(
        network=event.network,
        key=event.name,
        value=event.value,
        images=event.images,
        interval=event.interval,
        mask=decode_mask(event.mask),
        image_set=event.image_set,
        per_class=event.per_class,
    )


def files_to_upload(new_events: list[Event]) -> list[FileReady]:
    """Return the files of these events, but of several checkpoints only the newest."""
    files = [event for event in new_events if isinstance(event, FileReady)]
    checkpoints = [event for event in files if event.kind == "checkpoint"]
    return [event for event in files if event.kind != "checkpoint" or event is checkpoints[-1]]
