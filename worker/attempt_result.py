"""How an attempt ends: one fenced write that moves the job to its last state, or back to the queue."""

import shutil
from dataclasses import replace

import structlog

from core.errors import JobFailed, Unavailable, strip_paths
from core.job_folder import StopReason
from core.jobspec.job import (
    ImportDatasetSpec,
    ImportModelSpec,
)
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedTrainingSpec, parse
from core.jobspec.status import TERMINAL
from core.settings import Settings
from core.store import attempts, datasets, models
from core.store.attempts import Attempt
from core.store.database.fence import FencedSession
from core.store.database.tables import JobRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.objects.store import Objects, upload_key
from worker.outputs import Outputs
from worker.trainer_process import TrainerProcess

LEAST_ROOM_BYTES = 64 * 2**10
REASONS: dict[StopReason, str] = {
    "cancel": "its trainer has ended",
    "pause": "its trainer has ended behind a checkpoint",
    "release": "Its worker was shut down; it goes on from its last checkpoint.",
}
log = structlog.get_logger()


class AttemptResult:
    def __init__(
        self, settings: Settings, objects: Objects, attempt: Attempt, outputs: Outputs
    ) -> None:
        self.settings, self.objects, self.attempt, self.outputs = (
            settings,
            objects,
            attempt,
            outputs,
        )

    def save(
        self,
        trainer: TrainerProcess | None,
        asked: StopReason | None,
        hung: JobFailed | None = None,
    ) -> None:
        """By what the trainer said last; by how it died where it said nothing. Without a trainer: stopped while preparing.

        ``asked``: what it was asked to stop for; ``hung``: why it was ended without being asked.
        """
        ended = self.outputs.ended_event
        if ended is not None and ended.outcome == "succeeded":
            self.save_success()
        elif asked == "cancel":
            self.save_release(REASONS[asked])
        elif ended is not None and ended.outcome == "failed":
            assert ended.failure_class is not None
            self.save_failure(
                JobFailed(
                    ended.code or "trainer_error",
                    ended.failure_class,
                    ended.message or "It failed.",
                )
            )
        elif hung is not None:
            self.save_failure(hung)
        elif asked is not None:
            self.save_release(REASONS[asked])
        elif ended is not None:
            self.save_failure(
                JobFailed(
                    "trainer_stopped",
                    "infrastructure",
                    "The trainer was told to stop by somebody else.",
                )
            )
        else:
            self.save_failure(self._death(trainer))

    def save_success(self) -> None:
        with self.attempt.fenced_session() as (session, job):
            spec = parse(job.spec)
            if isinstance(spec, ImportModelSpec | ImportDatasetSpec):
                self._imported(session, job, spec)
                model_id = None
            elif isinstance(spec, ResolvedEvaluationJobSpec):
                model_id = None
            else:
                model_id = self._publish_student(session, job, spec)
            attempts.succeed(session, job, results=job.results, model_id=model_id)
        self._leave_nothing_uploaded(job)
        log.info("job succeeded")

    def save_release(self, reason: str) -> None:
        with self.attempt.fenced_session() as (session, job):
            attempts.release(session, job, reason)
        self._leave_nothing_uploaded(job)
        log.info("job let go", status=job.status, reason=reason)

    def save_failure(self, error: JobFailed) -> None:
        log.warning(
            "attempt failed",
            code=error.code,
            failure_class=error.failure_class,
            message=error.message,
        )
        with self.attempt.fenced_session() as (session, job):
            apply_retry_policy(
                session,
                job,
                replace(error, message=strip_paths(error.message)),
                RetryPolicy.from_settings(self.settings),
            )
        self._leave_nothing_uploaded(job)

    def _death(self, trainer: TrainerProcess | None) -> JobFailed:
        """A trainer that could not even say why: on a full disk it cannot."""
        if trainer is None:
            return JobFailed("trainer_died", "infrastructure", "It was never started.")
        if shutil.disk_usage(self.settings.resolved_scratch_folder).free < LEAST_ROOM_BYTES:
            return JobFailed("storage_full", "infrastructure", "The disk of the worker is full.")
        return JobFailed("trainer_died", "infrastructure", trainer.how_it_died())

    # -- what a finished job leaves behind

    def _publish_student(self, session: FencedSession, job: JobRow, spec: ResolvedTrainingSpec) -> str:
        """The best checkpoint's weights become a model, named for its job."""
        key, size, digest = self.outputs.published["best.safetensors"]
        dataset = datasets.get(session, job.project_id, job.dataset_id or "").description or {}
        shape = {name: dataset[name] for name in ("classes", "channels", "height", "width")}
        description = ModelDescription.model_validate(
            {"network": spec.student.model_dump(), **shape}
        )
        summary = self.outputs.ended_event.summary if self.outputs.ended_event is not None else {}
        row = models.publish(
            session,
            job,
            description=description,
            parameters=summary.get("parameters"),
            object_key=key,
            size=size,
            sha256=digest,
        )
        return row.id

    def _imported(
        self, session: FencedSession, job: JobRow, spec: ImportModelSpec | ImportDatasetSpec
    ) -> None:
        """The opened and rewritten upload becomes the model or data set it was for."""
        found = self.outputs.import_event
        assert found is not None
        if isinstance(spec, ImportModelSpec):
            key, size, digest = self.outputs.published["model.safetensors"]
            model = models.get(session, job.project_id, spec.model_id)
            models.mark_ready(
                session,
                model,
                spec.description,
                parameters=found.parameters,
                report=found.report,
                object_key=key,
                size=size,
                sha256=digest,
            )
        else:
            assert found.dataset is not None
            key, size, digest = self.outputs.published["dataset.safetensors"]
            dataset = datasets.get(session, job.project_id, spec.dataset_id)
            datasets.mark_ready(
                session, dataset, found.dataset, object_key=key, size=size, sha256=digest
            )

    def _leave_nothing_uploaded(self, job: JobRow) -> None:
        """After the commit: the bytes as they were sent are of no use once their import has ended; a refused file is not kept."""
        spec = parse(job.spec)
        if job.status not in TERMINAL or not isinstance(spec, ImportModelSpec | ImportDatasetSpec):
            return
        try:
            self.objects.delete(
                upload_key(spec.model_id if isinstance(spec, ImportModelSpec) else spec.dataset_id)
            )
        except Unavailable:
            log.warning("an upload could not be removed after its import", job=job.id)
