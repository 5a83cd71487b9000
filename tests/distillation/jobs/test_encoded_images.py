"""Trainings on images that stay encoded: run by hand, and resumed bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import JobFolder, Measured
from core.jobspec.compatibility import held_out_images, steps_per_epoch, training_problems
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec
from tests.distillation.data.builders import import_job, install_import, photo_folders, zip_of
from tests.distillation.folders import StopAfter, newest_checkpoint, run_job

SIDE = 64
SPEC: dict[str, Any] = {
    "student": {"architecture": "small_cnn", "width": 4},
    "data": {"dataset": "photos", "held_out": 0.1, "limit": 30},
    "method": {"name": "pgd_at"},
    "adversary": {"name": "pgd", "radius": 0.03, "step_size": 0.01, "steps": 1},
    "schedule": {"epochs": 2, "batch_size": 8, "checkpoint_seconds": 0},
    "export": [],
    "evaluation": {"attacks": [{"name": "pgd", "steps": 2}], "limit": 5, "batch_size": 4},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def import_folder(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """The import of 40 generated photographs, to be used at 64 x 64 pixels."""
    folder = import_job(tmp_path_factory.mktemp("import") / "job", image_size=SIDE)
    folder.upload.write_bytes(zip_of(photo_folders(train=17, test=3)))
    import_dataset(folder)
    install_import(folder)
    return folder


def create_job_folder(path: Path, import_folder: JobFolder, **changes: Any) -> JobFolder:
    folder = JobFolder(path)
    dataset = import_folder.read_dataset()
    spec = AdversarialTrainingSpec.model_validate(SPEC | changes)
    assert training_problems(spec, dataset, None) == []
    folder.create(resolve(spec, dataset), dataset=dataset)
    os.link(import_folder.dataset_file, folder.dataset_file)
    return folder


def test_the_default_augmentation_is_imagenets(import_folder: JobFolder) -> None:
    """Unless the job names another; for encoded images only."""
    spec = resolve(AdversarialTrainingSpec.model_validate(SPEC), import_folder.read_dataset())
    assert spec.data.augmentation is not None
    assert spec.data.augmentation.model_dump() == {
        "crop_padding": 0,
        "resized_crop": {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)},
        "flip": True,
    }


def test_a_job_runs_by_hand_from_folder_to_report(tmp_path: Path, import_folder: JobFolder) -> None:
    folder = create_job_folder(
        tmp_path / "job",
        import_folder,
        student={"architecture": "imagenet_resnet18"},
        schedule={"epochs": 1, "batch_size": 13},
    )
    process = subprocess.run(
        [sys.executable, "-m", "core.distillation", str(folder.path)],
        env=os.environ | {"DISTILL_THREADS": "1", "DISTILL_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    report = json.loads((folder.output / "report.json").read_text())
    assert report["data"]["images"] == {"training": 27, "held_out": 3, "test": 5}
    events, _ = folder.read_events()
    measured = {(event.network, event.name) for event in events if isinstance(event, Measured)}
    keys = {"clean", "pgd-2@linf:0.03", "held_out_pgd-10@linf:0.03"}
    assert {("best", key) for key in keys} <= measured


def test_a_resumed_job_gives_the_same_bits(tmp_path: Path, import_folder: JobFolder) -> None:
    """Stopped before any step of an epoch, with batches prepared ahead in other threads."""
    uninterrupted = create_job_folder(tmp_path / "uninterrupted", import_folder)
    spec = uninterrupted.read_spec()
    assert isinstance(spec, AdversarialTrainingSpec)
    dataset = import_folder.read_dataset()
    assert (held_out_images(spec, dataset), steps_per_epoch(spec, dataset)) == (3, 3)
    assert run_job(uninterrupted).outcome == "succeeded"
    for steps in (1, 2, 3, 5):
        first = create_job_folder(tmp_path / f"first-{steps}", import_folder)
        second = create_job_folder(tmp_path / f"second-{steps}", import_folder)
        assert run_job(first, StopAfter(steps)).outcome == "stopped"
        second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
        assert run_job(second).outcome == "succeeded"
        for name in ("best.safetensors", "last.safetensors"):
            expected = load_file(uninterrupted.output / name)
            actual = load_file(second.output / name)
            assert all(torch.equal(expected[key], actual[key]) for key in expected), (steps, name)
