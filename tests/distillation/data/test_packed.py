from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.distillation.data import DataSet, Images, load, packed
from core.distillation.data.importing.packed_writer import describe, write_packed
from core.errors import JobFailed
from core.job_folder import JobFolder
from tests.distillation.data.builders import in_memory


def images(count: int, classes: int = 3) -> Images:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, 3, 8, 9), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(count) % classes)


def packed_folder(path: Path) -> tuple[JobFolder, DataSet]:
    folder = JobFolder(path)
    train = images(7)
    test = images(4)
    dataset = DataSet(train, test, describe(train, test, ("a", "b", "c")))
    write_packed(folder.dataset_file, train, test)
    folder.dataset_description.write_text(dataset.description.model_dump_json())
    return folder, dataset


def failure(folder: JobFolder) -> str:
    with pytest.raises(JobFailed) as caught:
        load(folder)
    assert caught.value.code == "unreadable_dataset"
    assert caught.value.failure_class == "user"
    assert str(folder.path) not in caught.value.message
    return caught.value.message


def change_tensors(folder: JobFolder, **tensors: torch.Tensor) -> None:
    save_file(load_file(folder.dataset_file) | tensors, folder.dataset_file)


def test_packed_data_set_survives_the_round_trip(tmp_path: Path) -> None:
    folder, dataset = packed_folder(tmp_path)
    loaded = load(folder)
    assert loaded.description == dataset.description
    assert (loaded.description.height, loaded.description.width) == (8, 9)
    for part, expected in ((loaded.train, dataset.train), (loaded.test, dataset.test)):
        assert torch.equal(in_memory(part).images_NCHW, in_memory(expected).images_NCHW)
        assert torch.equal(part.labels_N, expected.labels_N)


def test_missing_file_fails_the_job(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    folder.dataset_file.unlink()
    assert failure(folder) == "The job's data set, dataset.safetensors, is not in its folder."


@pytest.mark.parametrize("length", [0, 7, 100, 2000])
def test_truncated_file_fails_the_job(tmp_path: Path, length: int) -> None:
    folder, _ = packed_folder(tmp_path)
    folder.dataset_file.write_bytes(folder.dataset_file.read_bytes()[:length])
    assert "dataset.safetensors cannot be read" in failure(folder)


def test_missing_tensor_fails_the_job(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    save_file({"train_images": torch.zeros(1)}, folder.dataset_file)
    assert "train_labels" in failure(folder)


def test_shape_other_than_described_fails_the_job(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    change_tensors(folder, test_images=torch.zeros(4, 1, 8, 9, dtype=torch.uint8))
    assert (
        failure(folder)
        == "The test images have shape (4, 1, 8, 9); the description says (4, 3, 8, 9)."
    )


def test_label_out_of_range_fails_the_job(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    change_tensors(folder, test_labels=torch.tensor([0, 1, 2, 3]))
    assert failure(folder) == "The test labels go from 0 to 3; the description has 3 classes."


def test_float_images_fail_the_job(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    change_tensors(folder, train_images=torch.zeros(7, 3, 8, 9))
    assert "uint8" in failure(folder)


def test_labels_of_another_shape_fail_the_job(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    change_tensors(folder, train_labels=torch.zeros(6, dtype=torch.int64))
    assert "must have shape [N, C, H, W] and labels [N]" in failure(folder)


@pytest.mark.parametrize(
    "tensors",
    [
        {"train_images": torch.zeros(6, 3, 8, 9, dtype=torch.uint8)},
        {"train_images": torch.zeros(7, 3, 9, 8, dtype=torch.uint8)},
        {"train_images": torch.zeros(7, 3, 8, 9, dtype=torch.int64)},
        {"train_labels": torch.zeros(8, dtype=torch.int64)},
        {"train_labels": torch.tensor([0, 1, 2, 0, 1, 2, 3])},
        {"train_labels": torch.tensor([0, 1, 2, 0, 1, 2, -1])},
    ],
)
def test_mapped_file_other_than_described_fails_the_job(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    folder, _ = packed_folder(tmp_path)
    description = folder.read_dataset()
    assert len(packed.load_mapped(folder.dataset_file, description)) == 7
    change_tensors(folder, **tensors)
    with pytest.raises(JobFailed) as caught:
        packed.load_mapped(folder.dataset_file, description)
    assert caught.value.code == "unreadable_dataset"


def test_negative_label_fails_the_job(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    change_tensors(folder, test_labels=torch.tensor([0, 1, 2, -1]))
    assert failure(folder) == "The test labels go from -1 to 2; the description has 3 classes."
