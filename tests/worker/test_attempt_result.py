"""Saving how an attempt ended."""

from pathlib import Path

import torch
from sqlalchemy import Engine, update

from core.distillation.jobs.model_import import import_model
from core.distillation.models import build
from core.errors import JobFailed
from core.job_folder import Ended, Imported, JobFolder
from core.jobspec.job import ImportDatasetSpec, ImportModelSpec
from core.settings import Settings
from core.store import jobs
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DatasetRow, JobRow, ModelRow
from core.store.objects.store import Objects
from core.store.registry import datasets, models, uploaded_items
from tests.builders import create_attempt, dataset_description, model_description
from tests.worker.logs.builders import create_log
from worker.attempt_result import AttemptResult
from worker.outputs import Outputs


def test_a_job_whose_spec_cannot_be_read_fails_for_good(engine: Engine, tmp_path: Path) -> None:
    """A newer program may have written it. The last failure is saved without reading it again."""
    settings = Settings(home=tmp_path, max_attempts=1)
    objects = Objects.from_settings(settings)
    attempt = create_attempt(engine)
    with write_session(engine) as session:
        session.execute(update(JobRow).values(spec={"kind": "of another program"}))
    outputs = Outputs(objects, attempt, JobFolder(tmp_path / "job"), 2, lambda: None)
    result = AttemptResult(settings, objects, attempt, outputs, create_log(engine, attempt))
    result.save_failure(JobFailed("worker_error", "infrastructure", "The worker failed."))
    with read_session(engine) as session:
        assert session.get_one(JobRow, attempt.job_id).status == "failed"


def test_imported_model_is_what_its_import_reports(engine: Engine, tmp_path: Path) -> None:
    """The normalization of its file, which nobody had named, and the report."""
    description = model_description(channels=3, height=32, width=32)
    with write_session(engine) as session:
        row = models.create(session, DEFAULT_PROJECT, "m", description, status="awaiting_upload")
        spec = ImportModelSpec(model_id=row.id, description=description, normalization_assumed=True)
        job = jobs.submit(session, DEFAULT_PROJECT, spec)
        uploaded_items.begin_import(session, row, job.id)
    folder = JobFolder(tmp_path / "job")
    folder.create(spec)
    constants = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    network = build("small_cnn", 10, width=4)
    torch.save({"net": network.state_dict(), **constants}, folder.upload)
    import_model(folder)
    settings = Settings(home=tmp_path)
    objects = Objects.from_settings(settings)
    attempt = create_attempt(engine, job)
    outputs = Outputs(objects, attempt, folder, 2, lambda: None)
    outputs.publish_new_events()
    AttemptResult(settings, objects, attempt, outputs, create_log(engine, attempt)).save_success()
    with read_session(engine) as session:
        model = session.get_one(ModelRow, row.id)
    assert (model.status, (model.report or {})["state_dict"]) == ("ready", "net")
    assert models.describe(model).network.normalization == "imagenet"


def test_import_of_a_data_set_saves_its_report(engine: Engine, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    objects = Objects.from_settings(settings)
    with write_session(engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, "pets", "upload", status="awaiting_upload")
        spec = ImportDatasetSpec(dataset_id=row.id, source="upload")
        job = jobs.submit(session, DEFAULT_PROJECT, spec)
        uploaded_items.begin_import(session, row, job.id)
    attempt = create_attempt(engine, job)
    folder = JobFolder(tmp_path / "job")
    folder.create(spec)
    folder.save_file("dataset.safetensors", b"images", "dataset")
    report = {"layout": "One folder a class.", "ignored_files": 1, "ignored": [{"files": 1}]}
    folder.emit(Imported(dataset=dataset_description(), report=report))
    folder.emit(Ended(outcome="succeeded"))
    outputs = Outputs(objects, attempt, folder, 2, lambda: None)
    outputs.publish_new_events()
    AttemptResult(settings, objects, attempt, outputs, create_log(engine, attempt)).save(None, None)
    with read_session(engine) as session:
        saved = uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, "pets")
        assert (saved.status, saved.report, saved.size) == ("ready", report, 6)
