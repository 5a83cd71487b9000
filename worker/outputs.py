"""Publishing what a trainer says: object first, row second, every row fenced by the attempt number."""

import os
from collections.abc import Callable
from contextlib import suppress

import structlog

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
)
from core.store import artifacts, events, metrics
from core.store.attempts import Attempt
from core.store.database.fence import FencedSession
from core.store.database.tables import JobRow
from core.store.objects.store import Objects, artifact_key, checkpoint_key

log = structlog.get_logger()


class Outputs:
    """Follows one job folder's events. ``published`` remembers the files by name, ``imported`` an import's result.

    Of the checkpoints the ``keep`` furthest are kept. Every one holds the best student so far beside the present one, so the
    best is never lost with a checkpoint that goes.
    """

    def __init__(
        self,
        objects: Objects,
        attempt: Attempt,
        folder: JobFolder,
        keep: int,
        check: Callable[[], None],
    ) -> None:
        """``check`` is called before anything is stored, and for every part of a file; it raises where that must not be."""
        self.objects, self.attempt, self.folder, self.keep, self.check = (
            objects,
            attempt,
            folder,
            keep,
            check,
        )
        self.offset = 0
        self.published: dict[str, tuple[str, int, str]] = {}
        self.stale: list[str] = []
        """Keys of objects that no row names any longer, to be deleted after the commit."""
        self.import_event: Imported | None = None
        self.ended_event: Ended | None = None

    def publish_new_events(self) -> None:
        """Publish every event that is new; nothing is forgotten if the store cannot be reached: it is tried again."""
        said, offset = self.folder.read_events(self.offset)
        if not said:
            return
        self.check()
        for file in worth_uploading(said):
            self._upload(file)
        self.stale = []
        with self.attempt.fenced_session() as (session, job):
            for event in said:
                self._record(session, job, event)
            self.stale += artifacts.prune_checkpoints(session, self.attempt.job_id, self.keep)
        self.offset = offset
        self.ended_event = next((event for event in said if isinstance(event, Ended)), self.ended_event)
        for key in self.stale:
            with suppress(Unavailable):
                self.objects.delete(key)

    def _upload(self, event: FileReady) -> None:
        if event.name in self.published:
            return
        held = self.folder.path / f"uploading-{event.name}"
        try:
            os.link(
                self.folder.output / event.name, held
            )  # the trainer may remove an old checkpoint at any time
        except FileNotFoundError:
            return
        try:
            make_key = checkpoint_key if event.kind == "checkpoint" else artifact_key
            key = make_key(self.attempt.job_id, self.attempt.number, event.name)
            size, digest = self.objects.put_file(key, held, self.check)
        finally:
            held.unlink()
        if (size, digest) != (event.size, event.sha256):
            raise OSError(f"{event.name} changed after it was announced")
        self.published[event.name] = (key, size, digest)

    def _record(self, session: FencedSession, job: JobRow, event: Event) -> None:
        match event:
            case PhaseStarted():
                job.phase, job.progress = event.phase, None
                events.append(session, job, "phase", {"phase": event.phase})
            case Progress():
                job.progress = event.model_dump(exclude={"type"}, exclude_none=True)
            case Metrics():
                metrics.record(session, job.id, self.attempt.number, event.step, event.values)
            case EpochCompleted():
                metrics.record(
                    session,
                    job.id,
                    self.attempt.number,
                    event.step,
                    {f"epoch_{k}": v for k, v in event.values.items()},
                )
                events.append(session, job, "epoch", event.model_dump(exclude={"type"}))
            case FileReady():
                self._record_file(session, job, event)
            case Measured():
                results = dict(job.results or {})
                results[event.network] = {**results.get(event.network, {}), event.name: event.value}
                job.results = results
                events.append(session, job, "measured", event.model_dump(exclude={"type"}))
            case Imported():
                self.import_event = event
            case Resumed() | Note():
                events.append(session, job, event.type, event.model_dump(exclude={"type"}))
            case Ended():
                pass

    def _record_file(self, session: FencedSession, job: JobRow, event: FileReady) -> None:
        if event.name not in self.published:
            return
        if event.kind == "model" or event.kind == "dataset":  # noqa: PLR1714 - the type checker follows this form
            return  # an import's result is no artifact of the job, but the model or data set itself
        key, size, digest = self.published[event.name]
        _, replaced = artifacts.record(
            session,
            job.id,
            attempt=self.attempt.number,
            name=event.name,
            kind=event.kind,
            object_key=key,
            size=size,
            sha256=digest,
            media_type=event.media_type,
            step=event.step,
        )
        if replaced is not None:
            self.stale.append(replaced)
        events.append(session, job, "file", event.model_dump(exclude={"type"}))


def worth_uploading(said: list[Event]) -> list[FileReady]:
    """Every file but the checkpoints that a newer one has replaced already."""
    files = [event for event in said if isinstance(event, FileReady)]
    checkpoints = [event for event in files if event.kind == "checkpoint"]
    return [event for event in files if event.kind != "checkpoint" or event is checkpoints[-1]]
