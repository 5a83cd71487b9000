import threading
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from core.atomic_files import sha256_of
from core.distillation.data import load
from core.distillation.data.importing import torchvision_download as download
from core.distillation.jobs import import_progress
from core.distillation.jobs.dataset_import import import_dataset
from core.distillation.jobs.import_progress import ImportProgress, ImportStopped
from core.errors import JobFailed, Refused
from core.job_folder import FileReady, Imported, JobFolder, Progress
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import ModelDescription, SmallCnn
from tests.distillation.data.building import import_job, imported, split_classes, zip_of


def test_an_import_announces_its_file_and_then_says_what_it_found(import_upload: Any):
    job = import_upload(zip_of(split_classes()))
    ready, result = job.read_events()[0]
    file = job.output / "dataset.safetensors"
    assert ready == FileReady(
        name=file.name, kind="dataset", size=file.stat().st_size, sha256=sha256_of(file)
    )
    assert isinstance(result, Imported)
    assert result.dataset is not None
    assert result.dataset.source == "packed"
    assert (result.dataset.channels, result.dataset.height, result.dataset.width) == (3, 8, 8)
    assert result.report == {
        "layout": 'A folder a class, training images in "train" and test images in "test".',
        "ignored_files": 0,
        "images": {"train": {"cat": 3, "mouse": 3}, "test": {"cat": 2, "mouse": 2}},
    }


def uploaded(path: Path) -> JobFolder:
    job = import_job(path / "job")
    job.upload.write_bytes(zip_of(split_classes()))
    return job


@pytest.fixture
def two_seconds_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count(0, 2)
    monkeypatch.setattr(import_progress.time, "monotonic", lambda: next(seconds))


@pytest.mark.usefixtures("two_seconds_a_look")
def test_a_long_import_says_how_far_it_is(tmp_path: Path):
    job = uploaded(tmp_path)
    import_dataset(job, ImportProgress(job, lambda: False, 3600))
    said = [
        (event.phase, event.step, event.of)
        for event in job.read_events()[0]
        if isinstance(event, Progress)
    ]
    assert ("preparing", 10, 10) in said


@pytest.mark.usefixtures("two_seconds_a_look")
@pytest.mark.parametrize("looks", [0, 1, 4])
def test_an_import_stops_where_it_is_when_it_is_asked_to(tmp_path: Path, looks: int):
    job, asked = uploaded(tmp_path), iter([False] * looks)
    with pytest.raises(ImportStopped):
        import_dataset(job, ImportProgress(job, lambda: next(asked, True), 3600))
    assert list(job.output.iterdir()) == []


@pytest.mark.usefixtures("two_seconds_a_look")
def test_an_import_that_takes_too_long_is_given_up(tmp_path: Path):
    job = uploaded(tmp_path)
    with pytest.raises(JobFailed) as caught:
        import_dataset(job, ImportProgress(job, lambda: False, 9))
    assert (caught.value.code, caught.value.failure_class) == ("timeout", "timeout")
    assert list(job.output.iterdir()) == []


def test_a_download_can_be_stopped_while_it_waits_for_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    called, let_go = threading.Event(), threading.Event()

    def silent(*_: object, **__: object) -> None:
        called.set()
        let_go.wait(60)

    monkeypatch.setattr("torchvision.datasets.CIFAR10", silent)
    monkeypatch.setattr(download, "LOOK_SECONDS", 0.01)
    job = import_job(tmp_path / "job", source="download", download="cifar10")
    with pytest.raises(ImportStopped):
        import_dataset(job, ImportProgress(job, called.is_set, 3600))
    let_go.set()


def test_an_archive_that_the_operator_offers_is_read(tmp_path: Path):
    archive = tmp_path / "pets.zip"
    archive.write_bytes(zip_of(split_classes()))
    job = import_job(tmp_path / "job", source="folder", folder="pets.zip")
    job.upload.symlink_to(archive)
    import_dataset(job)
    assert imported(job).dataset.train_images == 6
    assert archive.exists()


def test_two_imports_of_the_same_bytes_give_the_same_file(import_upload: Any, tmp_path: Path):
    upload = zip_of(split_classes())
    digests = [sha256_of(import_upload(upload).output / "dataset.safetensors") for _ in range(2)]
    assert digests[0] == digests[1]


class FakeCifar:
    """torchvision's interface, without its download."""

    classes = ("cat", "dog")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download
        (Path(root) / "cifar.tar.gz").write_bytes(b"what was fetched")
        self.data = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
        self.targets = [1, 0] if train else [0, 1]


def test_a_download_becomes_a_packed_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCifar)
    job = import_job(tmp_path / "job", source="download", download="cifar10")
    import_dataset(job)
    assert {path.name for path in job.path.iterdir()} == {"spec.json", "output", "events.jsonl"}
    event = imported(job)
    assert event.dataset.class_names == ("cat", "dog")
    dataset = load(job)
    assert dataset.train.labels_N.tolist() == [1, 0]
    assert torch.equal(
        dataset.train.images_NCHW.permute(0, 2, 3, 1),
        torch.from_numpy(FakeCifar(str(tmp_path), True, True).data),
    )


@pytest.mark.parametrize(
    "error",
    [
        URLError("no route"),
        TimeoutError(),
        RuntimeError("File not found or corrupted."),
        EOFError(),
    ],
)
def test_without_a_network_a_download_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.datasets.CIFAR100", fail)
    job = import_job(tmp_path / "job", source="download", download="cifar100")
    with pytest.raises(Refused) as caught:
        import_dataset(job)
    assert caught.value.code == "download_failed"
    assert caught.value.message.startswith("CIFAR-100 could not be downloaded")
    assert {path.name for path in job.path.iterdir()} == {"spec.json", "output"}


def test_another_kind_of_job_is_a_mistake_of_the_caller(tmp_path: Path):
    job = import_job(tmp_path)
    network = ModelDescription(network=SmallCnn(), classes=2, channels=1, height=8, width=8)
    job.spec.write_text(ImportModelSpec(model_id="m", description=network).model_dump_json())
    with pytest.raises(TypeError, match="import_model is not an import of a data set"):
        import_dataset(job)
