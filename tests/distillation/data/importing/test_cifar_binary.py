import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from core.distillation.data import load
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.building import import_job, imported, tar_of, two_classes, write_files

CIFAR10_NAMES = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
CIFAR100_NAMES = "\n".join(f"fine_{number}" for number in range(100)).encode() + b"\n"


def records(images: int, classes: int, label_bytes: int, seed: int) -> bytes:
    """Mostly black; each image's first pixels say which one it is."""
    data = np.zeros((images, label_bytes + 3072), np.uint8)
    data[:, :label_bytes] = 255 if label_bytes > 1 else 0
    data[:, label_bytes - 1] = (np.arange(images) * 7 + seed) % classes
    data[:, label_bytes : label_bytes + 2] = (
        np.arange(images, dtype="<u2").view(np.uint8).reshape(-1, 2)
    )
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


def test_cifar_10_is_read_back_as_it_was_written(import_upload: Callable[[bytes], JobFolder]):
    job = import_upload(
        tar_of({f"cifar-10-batches-bin/{name}": data for name, data in cifar10().items()})
    )
    event = imported(job)
    dataset = load(job)
    assert event.dataset.class_names[3] == "cat"
    assert event.report["images"]["train"] == dict.fromkeys(event.dataset.class_names, 5000)
    assert event.report["ignored_files"] == 1
    assert dataset.train.labels_N[10_000:10_003].tolist() == [2, 9, 6]
    assert dataset.test.labels_N[:3].tolist() == [9, 6, 3]
    chosen = dataset.train.images_NCHW[[20_001, 49_999]]
    assert chosen[:, 0, 0, :2].tolist() == [[1, 0], [9999 % 256, 9999 // 256]]
    assert chosen[:, 2, 31, 31].tolist() == [3, 5]
    assert chosen[:, 1].sum() == 0


def test_cifar_100_has_the_fine_labels(tmp_path: Path):
    job = folder_job(tmp_path, cifar100())
    import_dataset(job)
    event = imported(job)
    dataset = load(job)
    assert (event.dataset.classes, event.dataset.train_images, event.dataset.test_images) == (
        100,
        50_000,
        10_000,
    )
    assert event.dataset.class_names[99] == "fine_99"
    assert dataset.train.labels_N[:3].tolist() == [1, 8, 15]
    assert torch.equal(dataset.test.labels_N, torch.arange(10_000).mul(7).add(9).remainder(100))
    assert dataset.test.images_NCHW[300, 0, 0, :2].tolist() == [44, 1]


def small(**changes: bytes | None) -> dict[str, bytes]:
    """Enough for a refusal before the large files are looked at; None: not there."""
    files = {"data_batch_1.bin": b"x", "batches.meta.txt": CIFAR10_NAMES} | {
        name.replace("__", "."): it for name, it in changes.items()
    }
    return {name: data for name, data in files.items() if data is not None}


def test_a_file_of_another_size_is_refused_by_name(tmp_path: Path):
    code, message = refusal(
        tmp_path, {f"cifar-10-batches-bin/{name}": data for name, data in small().items()}
    )
    assert code == "corrupt_archive"
    assert (
        message == '"cifar-10-batches-bin/data_batch_1.bin" has 1 bytes; CIFAR-10\'s has 30730000.'
    )


def test_a_missing_batch_is_refused_by_name(tmp_path: Path):
    files = small(data_batch_1__bin=records(10_000, 10, 1, 1))
    assert refusal(tmp_path, files) == (
        "corrupt_archive",
        '"data_batch_2.bin" is missing; it is a part of CIFAR-10.',
    )


def test_missing_names_are_refused_by_name(tmp_path: Path):
    assert (
        refusal(tmp_path, small(batches__meta__txt=None))[1]
        == '"batches.meta.txt" is missing; it is a part of CIFAR-10.'
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
def test_a_wrong_number_of_names_or_one_that_would_steer_a_terminal_is_refused(
    tmp_path: Path, names: bytes
):
    code, message = refusal(tmp_path, small(batches__meta__txt=names))
    assert (code, '"batches.meta.txt"' in message) == ("corrupt_archive", True)


def test_a_label_out_of_range_is_refused_by_name(tmp_path: Path):
    code, message = refusal(tmp_path, small(data_batch_1__bin=records(10_000, 11, 1, 1)))
    assert (code, message) == (
        "corrupt_archive",
        '"data_batch_1.bin" has a label 10; CIFAR-10\'s go from 0 to 9.',
    )


@pytest.mark.parametrize(
    "name",
    [
        "cifar-10-batches-py/data_batch_1",
        "cifar-10-batches-py/batches.meta",
        "cifar-100-python/meta",
    ],
)
def test_the_pickled_form_is_refused_and_the_binary_one_named(tmp_path: Path, name: str):
    code, message = refusal(tmp_path, two_classes() | {name: pickle.dumps({b"labels": [1]}, 2)})
    assert (code, f'"{name}"' in message) == ("unsafe_dataset", True)
    assert "binary version" in message
