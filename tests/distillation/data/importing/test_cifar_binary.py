import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from core.distillation.data import load
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.builders import (
    ImportUpload,
    class_folders,
    dataset_of,
    import_job,
    in_memory,
    install_import,
    labels_of,
    tar_of,
    write_files,
)

CIFAR10_NAMES = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
CIFAR100_NAMES = "\n".join(f"fine_{number}" for number in range(100)).encode() + b"\n"


def records(images: int, classes: int, label_bytes: int, seed: int) -> bytes:
    """Records of black images, except that their first pixels are their number."""
    data = np.zeros((images, label_bytes + 3072), np.uint8)
    data[:, :label_bytes] = 255 if label_bytes > 1 else 0
    data[:, label_bytes - 1] = (np.arange(images) * 7 + seed) % classes
    numbers = np.arange(images, dtype="<u2").view(np.uint8).reshape(-1, 2)
    data[:, label_bytes : label_bytes + 2] = numbers
    data[:, -1] = seed
    return data.tobytes()


def cifar10() -> dict[str, bytes]:
    batches = {f"data_batch_{number}.bin": records(10_000, 10, 1, number) for number in range(1, 6)}
    return batches | {
        "test_batch.bin": records(10_000, 10, 1, 9),
        "batches.meta.txt": CIFAR10_NAMES,
        "readme.html": b"<html>",
    }


def cifar100() -> dict[str, bytes]:
    parts = {"train.bin": records(50_000, 100, 2, 1), "test.bin": records(10_000, 100, 2, 9)}
    return parts | {"fine_label_names.txt": CIFAR100_NAMES, "coarse_label_names.txt": b"x\n"}


def folder_job(tmp_path: Path, files: dict[str, bytes]) -> JobFolder:
    job = import_job(tmp_path / "job", source="folder", folder="cifar")
    job.upload.symlink_to(write_files(tmp_path / "cifar", files))
    return job


def refusal(tmp_path: Path, files: dict[str, bytes]) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        import_dataset(folder_job(tmp_path, files))
    assert str(tmp_path) not in caught.value.message
    return caught.value.code, caught.value.message


def test_cifar_10_survives_the_round_trip(import_upload: ImportUpload) -> None:
    files = {f"cifar-10-batches-bin/{name}": data for name, data in cifar10().items()}
    job = import_upload(tar_of(files))
    event = install_import(job)
    dataset = load(job)
    class_names = dataset_of(event).class_names
    assert class_names[3] == "cat"
    assert event.report["images"]["train"] == dict.fromkeys(class_names, 5000)
    assert event.report["ignored_files"] == 1
    assert labels_of(dataset.train)[10_000:10_003] == [2, 9, 6]
    assert labels_of(dataset.test)[:3] == [9, 6, 3]
    images_NCHW = in_memory(dataset.train).images_NCHW[[20_001, 49_999]]
    assert images_NCHW[:, 0, 0, :2].tolist() == [[1, 0], [9999 % 256, 9999 // 256]]
    assert images_NCHW[:, 2, 31, 31].tolist() == [3, 5]
    assert images_NCHW[:, 1].sum() == 0


def test_cifar_100_has_the_fine_labels(tmp_path: Path) -> None:
    job = folder_job(tmp_path, cifar100())
    import_dataset(job)
    description = dataset_of(install_import(job))
    dataset = load(job)
    assert description.classes == 100
    assert (description.train_images, description.test_images) == (50_000, 10_000)
    assert description.class_names[99] == "fine_99"
    assert labels_of(dataset.train)[:3] == [1, 8, 15]
    expected_N = torch.arange(10_000).mul(7).add(9).remainder(100)
    assert torch.equal(dataset.test.labels_N, expected_N)
    assert in_memory(dataset.test).images_NCHW[300, 0, 0, :2].tolist() == [44, 1]


def incomplete_cifar10(**changes: bytes | None) -> dict[str, bytes]:
    """CIFAR-10 that is refused before large files are read. A change of None removes a file."""
    files = {"data_batch_1.bin": b"x", "batches.meta.txt": CIFAR10_NAMES} | {
        name.replace("__", "."): data for name, data in changes.items()
    }
    return {name: data for name, data in files.items() if data is not None}


def test_file_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    files = {f"cifar-10-batches-bin/{name}": data for name, data in incomplete_cifar10().items()}
    assert refusal(tmp_path, files) == (
        "corrupt_archive",
        '"cifar-10-batches-bin/data_batch_1.bin" has 1 bytes; this file of CIFAR-10 must have '
        "30730000.",
    )


@pytest.mark.parametrize("change", [-1, 1])
def test_size_of_a_file_is_exact(tmp_path: Path, change: int) -> None:
    files = incomplete_cifar10(data_batch_1__bin=bytes(30_730_000 + change))
    assert f"has {30_730_000 + change} bytes" in refusal(tmp_path, files)[1]


def test_list_of_class_names_has_a_largest_size(tmp_path: Path) -> None:
    names = CIFAR10_NAMES + b"\n" * 10_000
    message = refusal(tmp_path, incomplete_cifar10(batches__meta__txt=names))[1]
    assert f"has {len(names)} bytes; a list of 10 class names may have at most 10000." in message


def test_missing_batch_is_refused_by_name(tmp_path: Path) -> None:
    files = incomplete_cifar10(data_batch_1__bin=records(10_000, 10, 1, 1))
    assert refusal(tmp_path, files) == (
        "corrupt_archive",
        '"data_batch_2.bin" is missing; CIFAR-10 is not complete without it.',
    )


def test_missing_class_names_are_refused_by_name(tmp_path: Path) -> None:
    files = incomplete_cifar10(batches__meta__txt=None)
    assert (
        refusal(tmp_path, files)[1]
        == '"batches.meta.txt" is missing; CIFAR-10 is not complete without it.'
    )
    assert "fine_label_names.txt" in refusal(tmp_path / "2", {"train.bin": b"x"})[1]


WRONG_NAMES = [
    b"",
    b"cat\ndog\n",
    CIFAR10_NAMES + b"cow\n",
    b"x" * 20_000,
    b"\x1b[2J" + CIFAR10_NAMES,
]


@pytest.mark.parametrize("names", WRONG_NAMES)
def test_wrong_class_names_are_refused(tmp_path: Path, names: bytes) -> None:
    """A wrong number of names, and a name that would steer a terminal."""
    code, message = refusal(tmp_path, incomplete_cifar10(batches__meta__txt=names))
    assert (code, '"batches.meta.txt"' in message) == ("corrupt_archive", True)


def test_label_out_of_range_is_refused_by_name(tmp_path: Path) -> None:
    files = incomplete_cifar10(data_batch_1__bin=records(10_000, 11, 1, 1))
    assert refusal(tmp_path, files) == (
        "corrupt_archive",
        '"data_batch_1.bin" has the label 10; labels of CIFAR-10 go from 0 to 9.',
    )


@pytest.mark.parametrize(
    "name",
    [
        "cifar-10-batches-py/data_batch_1",
        "cifar-10-batches-py/batches.meta",
        "cifar-100-python/meta",
    ],
)
def test_pickled_version_is_refused_in_favor_of_the_binary_one(tmp_path: Path, name: str) -> None:
    files = class_folders() | {name: pickle.dumps({b"labels": [1]}, 2)}
    code, message = refusal(tmp_path, files)
    assert (code, f'"{name}"' in message) == ("unsafe_dataset", True)
    assert "binary version" in message
