"""Saving how an attempt ended: one fenced transaction, after which the job has ended, is paused or
waits for another attempt.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import structlog

from core.errors import JobFailed, Unavailable, strip_paths
from core.job_folder import StopReason
from core.jobspec.job import ImportDatasetSpec, ImportModelSpec, ImportSpec
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedTrainingSpec, parse
from core.jobspec.status import TERMINAL
from core.settings import Settings
from core.store import attempts
from core.store.attempts import Attempt
from core.store.database.fence import FencedSession
from core.store.database.tables import DatasetRow, JobRow, ModelRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.lifecycle.transitions import IMPORTS
from core.store.objects.store import Objects, upload_key
from core.store.registry import datasets, models, uploaded_items
from core.store.registry.thumbnails import StoredSheet
from worker.inputs import import_target_id
from worker.logs.attempt_log import AttemptLog
from worker.outputs import Outputs
from worker.resources.job_cost import record_cost
from worker.trainer_process import TrainerProcess

MIN_FREE_BYTES = 64 * 2**10
"""With less free space than this the disk is full, also for a trainer's last event."""
RELEASE_REASONS: dict[StopReason, str] = {
    "cancel": "its trainer has ended",
    "pause": "its trainer has saved a checkpoint and ended",
    "release": "Its worker was shut down; it continues from its last checkpoint.",
}
log = structlog.get_logger()


class AttemptResult:
    """Saves the result of one attempt, whose outputs have been published."""

    def __init__(
        self,
        settings: Settings,
        objects: Objects,
        attempt: Attempt,
        outputs: Outputs,
        attempt_log: AttemptLog,
    ) -> None:
        self.settings = settings
        self.objects = objects
        self.attempt = attempt
        self.outputs = outputs
        self.log = attempt_log

    def save(
        self,
        trainer: TrainerProcess | None,
        stop_reason: StopReason | None,
        hang: JobFailed | None = None,
    ) -> None:
        """Save what the trainer's last event says, or without one, what its exit tells.

        ``trainer``: None if the attempt was stopped before one was started. ``stop_reason``: why
        it was asked to stop; None if it was not. ``hang``: the failure of a trainer that was ended
        because it was hanging.
        """
        ended = self.outputs.ended_event
        failure = None if ended is None else ended.failure
        # Success counts even if a request to stop came too late. A cancelled job needs no more than
        # its end, whatever its trainer did. A pause or release does not hide a failure.
        if ended is not None and ended.outcome == "succeeded":
            self.save_success()
        elif stop_reason == "cancel":
            self.save_release(RELEASE_REASONS[stop_reason])
        elif failure is not None:
            self.save_failure(failure)
        elif hang is not None:
            self.save_failure(hang)
        elif stop_reason is not None:
            self.save_release(RELEASE_REASONS[stop_reason])
        elif ended is not None:
            message = "The trainer was stopped by a signal that its worker had not sent."
            self.save_failure(JobFailed("trainer_stopped", "infrastructure", message))
        else:
            self.save_failure(self._failure_without_event(trainer))

    def save_success(self) -> None:
        """Move the job to ``succeeded``, with what it has made."""
        with self._concluding_session() as (session, job):
            spec = parse(job.spec)
            model_id = None
            if isinstance(spec, ImportModelSpec):
                self._save_imported_model(session, job, spec)
            elif isinstance(spec, ImportDatasetSpec):
                self._save_imported_dataset(session, job, spec)
            elif not isinstance(spec, ResolvedEvaluationJobSpec):
                model_id = self._publish_student(session, job, spec)
            if not isinstance(spec, ImportSpec):
                ended = self.outputs.ended_event
                record_cost(session, job, spec, {} if ended is None else ended.summary)
            attempts.succeed(session, job, results=job.results, model_id=model_id)
        self._delete_upload(job)  # only after the commit: a transaction may still fail
        log.info("job succeeded")

    def save_release(self, reason: str) -> None:
        """Let go of the job without a failure: it is cancelled, paused or queued again."""
        with self._concluding_session() as (session, job):
            attempts.release(session, job, reason)
        self._delete_upload(job)
        log.info("job released", status=job.status, reason=reason)

    def save_failure(self, error: JobFailed) -> None:
        """Apply the retry policy to the job."""
        log.warning(
            "attempt failed",
            code=error.code,
            failure_class=error.failure_class,
            message=error.message,
        )
        public_error = replace(error, message=strip_paths(error.message))
        policy = RetryPolicy.from_settings(self.settings)
        with self._concluding_session() as (session, job):
            apply_retry_policy(session, job, public_error, policy)
        self._delete_upload(job)

    @contextmanager
    def _concluding_session(self) -> Iterator[tuple[FencedSession, JobRow]]:
        """Open the attempt's last transaction, which also completes its log."""
        self.log.publish_rest()
        with self.attempt.fenced_session() as (session, job):
            yield session, job
            self.log.complete(session, f"attempt ended; the job is {job.status}")

    def _failure_without_event(self, trainer: TrainerProcess | None) -> JobFailed:
        """Return the failure of a trainer that did not even emit its end."""
        if trainer is None:
            return JobFailed("trainer_died", "infrastructure", "The trainer was never started.")
        if shutil.disk_usage(self.settings.resolved_scratch_folder).free < MIN_FREE_BYTES:
            return JobFailed("storage_full", "infrastructure", "The disk of the worker is full.")
        return JobFailed("trainer_died", "infrastructure", trainer.describe_exit())

    def _publish_student(
        self, session: FencedSession, job: JobRow, spec: ResolvedTrainingSpec
    ) -> str:
        """Publish the best checkpoint's weights as a model; return its id."""
        weights = self.outputs.files["best.safetensors"]
        ended = self.outputs.ended_event
        dataset = uploaded_items.get(session, DatasetRow, job.project_id, job.dataset_id or "")
        facts = dataset.description or {}
        shape = {name: facts[name] for name in ("classes", "channels", "height", "width")}
        description = ModelDescription.model_validate(
            {"network": spec.student.model_dump(), **shape}
        )
        model = models.publish(
            session,
            job,
            description=description,
            parameters=None if ended is None else ended.summary.get("parameters"),
            object_key=weights.object_key,
            size=weights.size,
            sha256=weights.sha256,
        )
        return model.id

    def _save_imported_model(
        self, session: FencedSession, job: JobRow, spec: ImportModelSpec
    ) -> None:
        """Make the model ready whose upload the job has opened and rewritten."""
        weights = self.outputs.files["model.safetensors"]
        imported = self.outputs.import_event
        if imported is None:
            raise _missing_import_event()
        models.mark_ready(
            session,
            uploaded_items.get(session, ModelRow, job.project_id, spec.model_id),
            imported.model or spec.description,
            parameters=imported.parameters,
            report=imported.report,
            object_key=weights.object_key,
            size=weights.size,
            sha256=weights.sha256,
        )

    def _save_imported_dataset(
        self, session: FencedSession, job: JobRow, spec: ImportDatasetSpec
    ) -> None:
        """Make the data set ready that the job has decoded and rewritten."""
        images = self.outputs.files["dataset.safetensors"]
        imported = self.outputs.import_event
        if imported is None or imported.dataset is None:
            raise _missing_import_event()
        datasets.mark_ready(
            session,
            uploaded_items.get(session, DatasetRow, job.project_id, spec.dataset_id),
            imported.dataset,
            report=imported.report,
            object_key=images.object_key,
            size=images.size,
            sha256=images.sha256,
            sheets=[
                StoredSheet(sheet, *self.outputs.files[sheet.file]) for sheet in imported.sheets
            ],
        )

    def _delete_upload(self, job: JobRow) -> None:
        """Delete the uploaded bytes of an import that has ended, after the commit.

        They are of no use any more: the import has rewritten or refused them.
        """
        if job.status not in TERMINAL or job.kind not in IMPORTS:
            return  # the spec of another job is not parsed: it may be why the attempt failed
        spec = parse(job.spec)
        if not isinstance(spec, ImportSpec):
            return
        try:
            self.objects.delete(upload_key(import_target_id(spec)))
        except Unavailable:
            log.warning("an upload could not be deleted after its import", job=job.id)


def _missing_import_event() -> JobFailed:
    message = "The import ended without reporting its result."
    return JobFailed("worker_error", "infrastructure", message)
