import threading
from itertools import count
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from core.atomic_files import sha256_of
from core.distillation.data import load
from core.distillation.data.importing import torchvision_download
from core.distillation.jobs import dataset_import
from core.distillation.jobs.dataset_import import import_dataset
from core.distillation.jobs.import_progress import ImportProgress, ImportStopped
from core.errors import JobFailed, Refused
from core.job_folder import FileReady, Imported, JobFolder, Progress
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import ModelDescription, SmallCnn
from tests.distillation.data.builders import (
    ImportUpload,
    dataset_of,
    image_file,
    import_job,
    in_memory,
    install_import,
    labels_of,
    split_folders,
    zip_of,
)


def test_import_emits_its_file_and_then_its_result(import_upload: ImportUpload) -> None:
    job = import_upload(zip_of(split_folders()))
    ready, thumbnails, result = job.read_events()[0]
    file = job.output / "dataset.safetensors"
    assert ready == FileReady(
        name=file.name, kind="dataset", size=file.stat().st_size, sha256=sha256_of(file)
    )
    assert isinstance(result, Imported)
    assert isinstance(thumbnails, FileReady)
    assert (thumbnails.kind, thumbnails.media_type) == ("thumbnails", "image/webp")
    assert [sheet.file for sheet in result.sheets] == [thumbnails.name]
    dataset = dataset_of(result)
    assert dataset.source == "packed"
    assert (dataset.channels, dataset.height, dataset.width) == (3, 8, 8)
    assert result.report == {
        "layout": 'One folder a class, training images in "train" and test images in "test".',
        "remarks": [],
        "ignored_files": 0,
        "ignored": [],
        "images": {"train": {"cat": 3, "mouse": 3}, "test": {"cat": 2, "mouse": 2}},
    }


def job_with_upload(path: Path) -> JobFolder:
    job = import_job(path / "job")
    job.upload.write_bytes(zip_of(split_folders()))
    return job


@pytest.fixture
def _two_seconds_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance the clock by two seconds with each call, so that every call reports progress."""
    seconds = count(0, 2)
    monkeypatch.setattr(
        "core.distillation.jobs.import_progress.time.monotonic", lambda: next(seconds)
    )


@pytest.mark.usefixtures("_two_seconds_a_call")
def test_long_import_emits_progress(tmp_path: Path) -> None:
    job = job_with_upload(tmp_path)
    import_dataset(job, ImportProgress(job, lambda: False, 3600))
    progress = [
        (event.phase, event.step, event.of)
        for event in job.read_events()[0]
        if isinstance(event, Progress)
    ]
    assert ("preparing", 10, 10) in progress


@pytest.mark.usefixtures("_two_seconds_a_call")
@pytest.mark.parametrize("calls", [0, 1, 4])
def test_import_stops_when_it_is_asked_to(tmp_path: Path, calls: int) -> None:
    """After so many calls of its progress callback."""
    job = job_with_upload(tmp_path)
    answers = iter([False] * calls)
    with pytest.raises(ImportStopped):
        import_dataset(job, ImportProgress(job, lambda: next(answers, True), 3600))
    assert list(job.output.iterdir()) == []


@pytest.mark.usefixtures("_two_seconds_a_call")
def test_import_that_takes_too_long_fails_with_a_timeout(tmp_path: Path) -> None:
    job = job_with_upload(tmp_path)
    with pytest.raises(JobFailed) as caught:
        import_dataset(job, ImportProgress(job, lambda: False, 9))
    assert (caught.value.code, caught.value.failure_class) == ("timeout", "timeout")
    assert list(job.output.iterdir()) == []


def test_download_can_be_stopped_while_its_server_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = threading.Event()
    released = threading.Event()

    def silent_download(*_: object, **__: object) -> None:
        called.set()
        released.wait(60)

    monkeypatch.setattr("torchvision.datasets.CIFAR10", silent_download)
    monkeypatch.setattr(torchvision_download, "POLL_SECONDS", 0.01)
    job = import_job(tmp_path / "job", source="download", download="cifar10")
    with pytest.raises(ImportStopped):
        import_dataset(job, ImportProgress(job, called.is_set, 3600))
    released.set()


def test_archive_of_the_operator_is_imported(tmp_path: Path) -> None:
    archive = tmp_path / "pets.zip"
    archive.write_bytes(zip_of(split_folders()))
    job = import_job(tmp_path / "job", source="folder", folder="pets.zip")
    job.upload.symlink_to(archive)
    import_dataset(job)
    assert dataset_of(install_import(job)).train_images == 6
    assert archive.exists()


def test_imports_of_the_same_bytes_give_the_same_file(import_upload: ImportUpload) -> None:
    upload = zip_of(split_folders())
    digests = [sha256_of(import_upload(upload).output / "dataset.safetensors") for _ in range(2)]
    assert digests[0] == digests[1]


class FakeCifar:
    """torchvision's interface, without its download."""

    classes = ("cat", "dog")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download
        (Path(root) / "cifar.tar.gz").write_bytes(b"the downloaded archive")
        self.data = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
        self.targets = [1, 0] if train else [0, 1]


def test_download_becomes_a_packed_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCifar)
    job = import_job(tmp_path / "job", source="download", download="cifar10")
    import_dataset(job)
    assert {path.name for path in job.path.iterdir()} == {
        "spec.json",
        "inputs.json",
        "output",
        "events.jsonl",
    }
    event = install_import(job)
    assert dataset_of(event).class_names == ("cat", "dog")
    train = in_memory(load(job).train)
    assert labels_of(train) == [1, 0]
    expected_NHWC = torch.from_numpy(FakeCifar(str(tmp_path), True, True).data)
    assert torch.equal(train.images_NCHW.permute(0, 2, 3, 1), expected_NHWC)


@pytest.mark.parametrize(
    "error",
    [
        URLError("no route"),
        TimeoutError(),
        RuntimeError("File not found or corrupted."),
        EOFError(),
    ],
)
def test_download_without_a_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.datasets.CIFAR100", fail)
    job = import_job(tmp_path / "job", source="download", download="cifar100")
    with pytest.raises(Refused) as caught:
        import_dataset(job)
    assert caught.value.code == "download_failed"
    assert caught.value.message.startswith("CIFAR-100 could not be downloaded")
    assert {path.name for path in job.path.iterdir()} == {"spec.json", "inputs.json", "output"}


def test_documents_of_a_job_folder_may_begin_with_a_mark(tmp_path: Path) -> None:
    """A person may have written them with an editor of Windows."""
    job = job_with_upload(tmp_path)
    job.spec.write_bytes(b"\xef\xbb\xbf" + job.spec.read_bytes().replace(b"\n", b"\r\n"))
    import_dataset(job)
    install_import(job)
    job.dataset_description.write_bytes(b"\xef\xbb\xbf" + job.dataset_description.read_bytes())
    assert len(load(job).train) == 6


def test_report_counts_the_images_of_a_thousand_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size has a limit; the description names all classes."""
    monkeypatch.setattr(dataset_import, "MAX_REPORTED_CLASSES", 2)
    job = import_job(tmp_path / "job")
    job.upload.write_bytes(
        zip_of(split_folders() | {f"{part}/owl/0.png": image_file() for part in ("train", "test")})
    )
    dataset_import.import_dataset(job)
    event = install_import(job)
    assert dataset_of(event).class_names == ("cat", "mouse", "owl")
    assert event.report["images"] == {
        "train": {"cat": 3, "mouse": 3},
        "test": {"cat": 2, "mouse": 2},
    }


def test_job_of_another_kind_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    job = import_job(tmp_path)
    network = ModelDescription(network=SmallCnn(), classes=2, channels=1, height=8, width=8)
    job.spec.write_text(ImportModelSpec(model_id="m", description=network).model_dump_json())
    with pytest.raises(TypeError, match="this is a import_model job"):
        import_dataset(job)
