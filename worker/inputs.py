"""Laying out a job folder: the spec, and every input fetched and verified by size and SHA-256."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from core.atomic_files import sha256_of
from core.errors import CorruptObject, JobFailed, NotFound
from core.job_folder import JobFolder
from core.jobspec.data import DatasetDescription
from core.jobspec.job import (
    ImportDatasetSpec,
    ImportModelSpec,
)
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedSpec, parse
from core.settings import Settings, resolve_inside
from core.store import artifacts, datasets, events, models
from core.store.attempts import Attempt
from core.store.database.engine import read_session
from core.store.database.tables import ArtifactRow
from core.store.objects import cache
from core.store.objects.store import Objects, upload_key


class Inputs:
    """What one attempt needs, from the store into its folder."""

    def __init__(
        self,
        settings: Settings,
        objects: Objects,
        attempt: Attempt,
        folder: JobFolder,
        check: Callable[[], None],
    ) -> None:
        """``check`` is called again and again, and raises where it is of no use to go on."""
        self.settings, self.objects, self.attempt, self.folder, self.check = (
            settings,
            objects,
            attempt,
            folder,
            check,
        )

    def prepare(self) -> None:
        """Raises JobFailed where something that the job names is not there: deleted, before the job was taken up again."""
        try:
            self._lay_out()
        except NotFound as error:
            raise JobFailed("missing_input", "user", str(error)) from error

    def _lay_out(self) -> None:
        job = self.attempt.renew()
        spec = parse(job.spec)
        self.folder.output.mkdir(parents=True)
        if isinstance(spec, ImportModelSpec | ImportDatasetSpec):
            self.folder.create(spec)
            self._upload(spec)
            return
        self.folder.create(
            spec,
            teacher=None
            if job.teacher_id is None
            else self._model(job.teacher_id, self.folder.teacher_weights),
            model=self._other_model(spec),
            dataset=self._dataset(job.dataset_id or "", self.folder.dataset_file),
            extra=self._extra(spec),
        )
        self._checkpoint()

    def _other_model(self, spec: ResolvedSpec) -> ModelDescription | None:
        """The network to be measured, or to start from."""
        model_id = spec.model if isinstance(spec, ResolvedEvaluationJobSpec) else spec.start_from
        return None if model_id is None else self._model(model_id, self.folder.model_weights)

    def _extra(self, spec: ResolvedSpec) -> DatasetDescription | None:
        if isinstance(spec, ResolvedEvaluationJobSpec) or spec.data.extra is None:
            return None
        return self._dataset(spec.data.extra.dataset, self.folder.extra_file)

    def _upload(self, spec: ImportModelSpec | ImportDatasetSpec) -> None:
        if isinstance(spec, ImportDatasetSpec) and spec.source == "folder":
            self.folder.upload.symlink_to(data_folder_entry(self.settings, spec.folder or ""))
        elif isinstance(spec, ImportModelSpec) or spec.source == "upload":
            with read_session(self.attempt.engine) as session:
                owner = models if isinstance(spec, ImportModelSpec) else datasets
                row = owner.get(
                    session,
                    self.attempt.project_id,
                    spec.model_id if isinstance(spec, ImportModelSpec) else spec.dataset_id,
                )
                key, size, digest = upload_key(row.id), row.size, row.sha256
            assert size is not None
            assert digest is not None
            self._fetch("The upload", key, size, digest, self.folder.upload)

    def _model(self, model_id: str, path: Path) -> ModelDescription:
        with read_session(self.attempt.engine) as session:
            row = models.get(session, self.attempt.project_id, model_id)
            description = ModelDescription.model_validate(row.description)
            name, key, size, digest = row.name, row.object_key, row.size, row.sha256
        self._cached(f"The weights of the model {name!r}", key, size, digest, path)
        return description

    def _dataset(self, dataset_id: str, path: Path) -> DatasetDescription:
        with read_session(self.attempt.engine) as session:
            row = datasets.get(session, self.attempt.project_id, dataset_id)
            description = DatasetDescription.model_validate(row.description)
            name, key, size, digest = row.name, row.object_key, row.size, row.sha256
        if description.source != "digits":
            self._cached(f"The data set {name!r}", key, size, digest, path)
        return description

    def _cached(
        self, what: str, key: str | None, size: int | None, digest: str | None, path: Path
    ) -> None:
        """Inputs that many jobs share are fetched once a machine and verified each time."""
        if key is None or size is None or digest is None:
            raise JobFailed(
                "missing_input", "user", f"{what} cannot be used yet: nothing is stored of it."
            )
        kept = cache.folder(self.settings) / digest
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not _taken(kept, path) or sha256_of(path) != digest:
            path.unlink(missing_ok=True)
            self._fetch(what, key, size, digest, path)
            kept.unlink(missing_ok=True)
            _taken(path, kept)
        with suppress(FileNotFoundError):
            os.utime(kept)  # its last use, by which the collector chooses

    def _fetch(self, what: str, key: str, size: int, digest: str, path: Path) -> None:
        """Whole, and what was stored. Another attempt may find it mended: an operator can put the object back."""
        try:
            self.objects.fetch(key, path, size, digest, self.check)
        except CorruptObject as error:
            raise JobFailed(
                "corrupt_input", "infrastructure", f"{what} cannot be used: {error}"
            ) from error

    def _checkpoint(self) -> None:
        """The newest checkpoint that is what was written; an event names each one that is not."""
        with read_session(self.attempt.engine) as session:
            kept = artifacts.list_checkpoints(session, self.attempt.job_id)
        for row in kept:
            try:
                self.objects.fetch(
                    row.object_key, self.folder.checkpoint, row.size, row.sha256, self.check
                )
            except CorruptObject as error:
                self._forget(
                    row, f"Checkpoint {row.name} was not used: {error}", last=row is kept[-1]
                )
            else:
                return

    def _forget(self, checkpoint: ArtifactRow, why: str, *, last: bool) -> None:
        """Or pruning would keep it and drop good ones."""
        if last:
            why += " No other is left: the job starts from the beginning."
        with self.attempt.fenced_session() as (session, job):
            artifacts.delete_record(session, checkpoint)
            events.append(session, job, "note", {"message": why})


def _taken(source: Path, target: Path) -> bool:
    """The same file at another place; False where it is not, or no longer, there."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except FileExistsError:  # another attempt was first
        return True
    except OSError:
        shutil.copyfile(source, target)
    return True


def data_folder_entry(settings: Settings, name: str) -> Path:
    """An entry of the operator's data folder, by its bare name."""
    if settings.data_folder is None or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise JobFailed(
            "no_such_folder", "user", f"The operator offers no data folder entry called {name!r}."
        )
    path = resolve_inside(settings.data_folder, name)
    if path is None:
        raise JobFailed(
            "no_such_folder", "user", f"{name!r} is a link that leads out of the data folder."
        )
    if not path.exists():
        raise JobFailed(
            "no_such_folder", "user", f"There is no {name!r} in the data folder of the worker."
        )
    return path
