"""A whole training on images that stay encoded: it runs by hand, and goes on to the same bits where it was stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.distillation.__main__ import create_run as build
from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import Ended, FileReady, JobFolder, Measured
from core.jobspec.compatibility import held_out_images, training_problems, steps_per_epoch
from core.jobspec.data import DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec
from tests.distillation.data.building import import_job, imported, zip_of
from tests.distillation.data.test_encoded import photos

SIDE = 64
BODY: dict[str, Any] = {
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
def stored(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """40 generated photographs, imported to be used at 64 pixels."""
    folder = import_job(tmp_path_factory.mktemp("import") / "job", image_size=SIDE)
    folder.upload.write_bytes(zip_of(photos(train=17, test=3)))
    import_dataset(folder)
    imported(folder)
    return folder


def description(stored: JobFolder) -> DatasetDescription:
    return stored.read_dataset()


def laid_out(path: Path, stored: JobFolder, **changes: Any) -> JobFolder:
    folder, dataset = JobFolder(path), stored.read_dataset()
    spec = AdversarialTrainingSpec.model_validate(BODY | changes)
    assert training_problems(spec, dataset, None) == []
    folder.create(resolve(spec, dataset), dataset=dataset)
    os.link(stored.dataset_file, folder.dataset_file)
    return folder


def run(folder: JobFolder, *, steps: int | None = None) -> Ended:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return steps is not None and asked > steps

    spec = folder.read_spec()
    assert isinstance(spec, AdversarialTrainingSpec)
    return build(folder, spec, stop).run()


def test_a_job_on_encoded_images_is_augmented_as_imagenet_is_unless_it_says_otherwise(
    stored: JobFolder,
):
    spec = resolve(AdversarialTrainingSpec.model_validate(BODY), description(stored))
    assert spec.data.augmentation is not None
    assert spec.data.augmentation.model_dump() == {
        "crop_padding": 0,
        "resized_crop": {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)},
        "flip": True,
    }


def test_it_runs_by_hand_from_folder_to_report(tmp_path: Path, stored: JobFolder):
    schedule = {"epochs": 1, "batch_size": 13}
    folder = laid_out(
        tmp_path / "job", stored, student={"architecture": "imagenet_resnet18"}, schedule=schedule
    )
    environment = os.environ | {"DISTILL_THREADS": "1", "DISTILL_DEVICE": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", "core.distillation", str(folder.path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((folder.output / "report.json").read_text())
    assert report["data"]["images"] == {"training": 27, "held_out": 3, "test": 5}
    measured = {
        (event.network, event.name)
        for event in folder.read_events()[0]
        if isinstance(event, Measured)
    }
    assert {("best", "clean"), ("best", "pgd"), ("best", "held_out_robust")} <= measured


def test_stopped_between_any_two_steps_it_goes_on_to_the_same_bits(
    tmp_path: Path, stored: JobFolder
):
    whole = laid_out(tmp_path / "whole", stored)
    spec = whole.read_spec()
    assert isinstance(spec, AdversarialTrainingSpec)
    assert (
        held_out_images(spec, description(stored)),
        steps_per_epoch(spec, description(stored)),
    ) == (3, 3)
    assert run(whole).outcome == "succeeded"
    for steps in (1, 2, 3, 5):
        first, second = (
            laid_out(tmp_path / f"{name}-{steps}", stored) for name in ("first", "second")
        )
        assert run(first, steps=steps).outcome == "stopped"
        second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
        assert run(second).outcome == "succeeded"
        for name in ("best.safetensors", "last.safetensors"):
            expected, found = load_file(whole.output / name), load_file(second.output / name)
            assert all(torch.equal(expected[key], found[key]) for key in expected), (steps, name)


def newest_checkpoint(folder: JobFolder) -> Path:
    events, _ = folder.read_events()
    return (
        folder.output
        / [
            event.name
            for event in events
            if isinstance(event, FileReady) and event.kind == "checkpoint"
        ][-1]
    )
