"""Preparing a job folder: the spec, and every input, fetched and verified by size and SHA-256."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.atomic_files import sha256_of
from core.errors import CorruptObject, JobFailed, NotFound
from core.job_folder import JobFolder
from core.jobspec.data import DatasetDescription
from core.jobspec.job import ImportDatasetSpec, ImportModelSpec, ImportSpec
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedSpec, parse
from core.reportspec.report import InputIdentity
from core.settings import Settings, resolve_inside
from core.store import artifacts, events
from core.store.attempts import Attempt
from core.store.database.engine import read_session
from core.store.database.tables import ArtifactRow, DatasetRow, JobRow, ModelRow
from core.store.objects import cache
from core.store.objects.store import Objects, upload_key
from core.store.registry import uploaded_items


@dataclass(frozen=True)
class StoredInput:
    """An input in the object store. ``title`` begins sentences about it; ``size`` in bytes."""

    title: str
    object_key: str
    size: int
    sha256: str

    @classmethod
    def from_columns(
        cls, title: str, object_key: str | None, size: int | None, sha256: str | None
    ) -> "StoredInput":
        """Raises JobFailed if nothing is stored yet."""
        if object_key is None or size is None or sha256 is None:
            message = f"{title} cannot be used yet: nothing of it is stored."
            raise JobFailed("missing_input", "user", message)
        return cls(title, object_key, size, sha256)


class Inputs:
    """Brings what one attempt needs from the store into its job folder."""

    def __init__(
        self,
        settings: Settings,
        objects: Objects,
        attempt: Attempt,
        folder: JobFolder,
        check: Callable[[], None],
    ) -> None:
        """``check`` is called for every part of a file. It raises if the job need not go on."""
        self.settings = settings
        self.objects = objects
        self.attempt = attempt
        self.folder = folder
        self.check = check
        self.identities: dict[str, InputIdentity] = {}
        """Which stored items the inputs are, by role."""

    def prepare(self) -> None:
        """Create the job folder and fetch every input into it.

        Raises JobFailed if something that the job names was deleted, which can happen before a
        job is retried.
        """
        try:
            self._prepare()
        except NotFound as error:
            raise JobFailed("missing_input", "user", str(error)) from error

    def _prepare(self) -> None:
        # Renewing reads the job's row, and fails if the attempt no longer owns it.
        job = self.attempt.renew()
        spec = parse(job.spec)
        self.folder.output.mkdir(parents=True)
        if isinstance(spec, ImportModelSpec | ImportDatasetSpec):
            self.folder.create(spec)
            self._fetch_upload(spec)
            return
        self.folder.create(
            spec,
            teacher=self._fetch_teacher(job),
            model=self._fetch_other_model(spec),
            dataset=self._fetch_dataset("dataset", job.dataset_id or "", self.folder.dataset_file),
            extra=self._fetch_extra(spec),
            inputs=self.identities,
        )
        self._fetch_checkpoint()

    def _fetch_teacher(self, job: JobRow) -> ModelDescription | None:
        if job.teacher_id is None:
            return None
        return self._fetch_model("teacher", job.teacher_id, self.folder.teacher_weights)

    def _fetch_other_model(self, spec: ResolvedSpec) -> ModelDescription | None:
        """Fetch the model that an evaluation measures, or with whose weights a training starts."""
        model_id = spec.model if isinstance(spec, ResolvedEvaluationJobSpec) else spec.start_from
        if model_id is None:
            return None
        return self._fetch_model("model", model_id, self.folder.model_weights)

    def _fetch_extra(self, spec: ResolvedSpec) -> DatasetDescription | None:
        if isinstance(spec, ResolvedEvaluationJobSpec) or spec.data.extra is None:
            return None
        return self._fetch_dataset("extra", spec.data.extra.dataset, self.folder.extra_file)

    def _fetch_upload(self, spec: ImportSpec) -> None:
        """Fetch what an import opens. A download fetches its data itself."""
        if isinstance(spec, ImportDatasetSpec) and spec.source == "folder":
            self.folder.upload.symlink_to(data_folder_entry(self.settings, spec.folder or ""))
        elif isinstance(spec, ImportModelSpec) or spec.source == "upload":
            self._fetch(self._find_upload(spec), self.folder.upload)

    def _find_upload(self, spec: ImportSpec) -> StoredInput:
        row: ModelRow | DatasetRow
        project_id = self.attempt.project_id
        with read_session(self.attempt.engine) as session:
            if isinstance(spec, ImportModelSpec):
                row = uploaded_items.get(session, ModelRow, project_id, spec.model_id)
            else:
                row = uploaded_items.get(session, DatasetRow, project_id, spec.dataset_id)
            return StoredInput.from_columns("The upload", upload_key(row.id), row.size, row.sha256)

    def _fetch_model(self, role: str, model_id: str, path: Path) -> ModelDescription:
        with read_session(self.attempt.engine) as session:
            row = uploaded_items.get(session, ModelRow, self.attempt.project_id, model_id)
            description = ModelDescription.model_validate(row.description)
            title = f"The weights of the model {row.name!r}"
            weights = StoredInput.from_columns(title, row.object_key, row.size, row.sha256)
            self.identities[role] = InputIdentity(id=row.id, name=row.name, sha256=row.sha256)
        self._fetch_cached(weights, path)
        return description

    def _fetch_dataset(self, role: str, dataset_id: str, path: Path) -> DatasetDescription:
        with read_session(self.attempt.engine) as session:
            row = uploaded_items.get(session, DatasetRow, self.attempt.project_id, dataset_id)
            description = DatasetDescription.model_validate(row.description)
            self.identities[role] = InputIdentity(id=row.id, name=row.name, sha256=row.sha256)
            if description.source == "digits":  # comes with the program
                return description
            title = f"The data set {row.name!r}"
            images = StoredInput.from_columns(title, row.object_key, row.size, row.sha256)
        self._fetch_cached(images, path)
        return description

    def _fetch_cached(self, stored: StoredInput, path: Path) -> None:
        """Fetch an input that many jobs share: once per machine, and verified for each job."""
        cached = cache.folder(self.settings) / stored.sha256
        cached.parent.mkdir(parents=True, exist_ok=True)
        if not _link_or_copy(cached, path) or sha256_of(path) != stored.sha256:
            path.unlink(missing_ok=True)
            self._fetch(stored, path)
            cached.unlink(missing_ok=True)
            _link_or_copy(path, cached)
        with suppress(FileNotFoundError):
            os.utime(cached)  # the time of its last use, by which the collector evicts

    def _fetch(self, stored: StoredInput, path: Path) -> None:
        """Fetch an object and verify it. Raises JobFailed.

        A corrupt object is an infrastructure failure: an operator can put the right bytes back
        before the next attempt.
        """
        try:
            self.objects.fetch(stored.object_key, path, stored.size, stored.sha256, self.check)
        except CorruptObject as error:
            message = f"{stored.title} cannot be used: {error}"
            raise JobFailed("corrupt_input", "infrastructure", message) from error

    def _fetch_checkpoint(self) -> None:
        """Fetch the newest intact checkpoint, if there is one, and drop those that are corrupt."""
        with read_session(self.attempt.engine) as session:
            checkpoints = artifacts.list_checkpoints(session, self.attempt.job_id)
        for checkpoint in checkpoints:
            try:
                self.objects.fetch(
                    checkpoint.object_key,
                    self.folder.checkpoint,
                    checkpoint.size,
                    checkpoint.sha256,
                    self.check,
                )
            except CorruptObject as error:
                note = f"Checkpoint {checkpoint.name} was not used: {error}"
                if checkpoint is checkpoints[-1]:
                    note += " No other is left: the job starts from the beginning."
                self._delete_record(checkpoint, note)
            else:
                return

    def _delete_record(self, checkpoint: ArtifactRow, note: str) -> None:
        """Delete a corrupt checkpoint's row, or pruning would keep it and drop intact ones."""
        with self.attempt.fenced_session() as (session, job):
            artifacts.delete_record(session, checkpoint)
            events.append(session, job, "note", {"message": note})


def import_target_id(spec: ImportSpec) -> str:
    """Return the id of the model or data set that an import makes ready."""
    return spec.model_id if isinstance(spec, ImportModelSpec) else spec.dataset_id


def _link_or_copy(source: Path, target: Path) -> bool:
    """Make the same file appear at another path; return False if the source does not exist."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except FileExistsError:  # another attempt was faster
        return True
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
    return True


def data_folder_entry(settings: Settings, name: str) -> Path:
    """Return an entry of the operator's data folder. Raises JobFailed.

    Neither the name nor a link may lead out of the folder.
    """
    if settings.data_folder is None or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        message = f"The operator offers no entry {name!r} in a data folder."
        raise JobFailed("no_such_folder", "user", message)
    path = resolve_inside(settings.data_folder, name)
    if path is None:
        message = f"{name!r} is a link that leads out of the data folder."
        raise JobFailed("no_such_folder", "user", message)
    if not path.exists():
        message = f"The data folder of the worker has no entry {name!r}."
        raise JobFailed("no_such_folder", "user", message)
    return path
