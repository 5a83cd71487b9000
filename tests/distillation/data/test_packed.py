from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.distillation.data import DataSet, Images, load
from core.distillation.data.packed import describe, write_packed
from core.errors import JobFailed
from core.job_folder import JobFolder


def images(count: int, classes: int = 3) -> Images:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, 3, 8, 9), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(count) % classes)


def packed_folder(path: Path) -> tuple[JobFolder, DataSet]:
    folder, train, test = JobFolder(path), images(7), images(4)
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


def changed(folder: JobFolder, **tensors: torch.Tensor) -> None:
    save_file(load_file(folder.dataset_file) | tensors, folder.dataset_file)


def test_what_was_written_is_read_back(tmp_path: Path):
    folder, dataset = packed_folder(tmp_path)
    again = load(folder)
    assert again.description == dataset.description
    assert (again.description.height, again.description.width) == (8, 9)
    for ours, theirs in ((again.train, dataset.train), (again.test, dataset.test)):
        assert torch.equal(ours.images_NCHW, theirs.images_NCHW)
        assert torch.equal(ours.labels_N, theirs.labels_N)


def test_the_file_has_the_four_tensors_of_the_packed_layout(tmp_path: Path):
    folder, _ = packed_folder(tmp_path)
    kinds = {
        name: (tensor.dtype, tuple(tensor.shape))
        for name, tensor in load_file(folder.dataset_file).items()
    }
    assert kinds == {
        "train_images": (torch.uint8, (7, 3, 8, 9)),
        "train_labels": (torch.int64, (7,)),
        "test_images": (torch.uint8, (4, 3, 8, 9)),
        "test_labels": (torch.int64, (4,)),
    }


def test_two_parts_of_one_tensor_can_be_written(tmp_path: Path):
    whole = images(10)
    write_packed(
        tmp_path / "f",
        *(
            Images(whole.images_NCHW[part], whole.labels_N[part])
            for part in (slice(6), slice(6, 10))
        ),
    )
    assert torch.equal(load_file(tmp_path / "f")["test_images"], whole.images_NCHW[6:])


def test_a_failed_write_leaves_neither_file_nor_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_packed(tmp_path / "f", images(2), images(2))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said(tmp_path: Path):
    folder, _ = packed_folder(tmp_path)
    folder.dataset_file.unlink()
    assert failure(folder) == "The job's data set, dataset.safetensors, is not in its folder."


@pytest.mark.parametrize("keep", [0, 7, 100, 2000])
def test_a_truncated_file_is_said(tmp_path: Path, keep: int):
    folder, _ = packed_folder(tmp_path)
    folder.dataset_file.write_bytes(folder.dataset_file.read_bytes()[:keep])
    assert "dataset.safetensors cannot be read" in failure(folder)


def test_a_missing_tensor_is_said(tmp_path: Path):
    folder, _ = packed_folder(tmp_path)
    save_file({"train_images": torch.zeros(1)}, folder.dataset_file)
    assert "train_labels" in failure(folder)


def test_a_shape_other_than_described_is_said(tmp_path: Path):
    folder, _ = packed_folder(tmp_path)
    changed(folder, test_images=torch.zeros(4, 1, 8, 9, dtype=torch.uint8))
    assert (
        failure(folder)
        == "The test images have shape (4, 1, 8, 9); the description says (4, 3, 8, 9)."
    )


def test_a_label_out_of_range_is_said(tmp_path: Path):
    folder, _ = packed_folder(tmp_path)
    changed(folder, test_labels=torch.tensor([0, 1, 2, 3]))
    assert failure(folder) == "The test labels go from 0 to 3; 3 classes are described."


def test_float_images_are_said(tmp_path: Path):
    folder, _ = packed_folder(tmp_path)
    changed(folder, train_images=torch.zeros(7, 3, 8, 9))
    assert "uint8" in failure(folder)


def test_labels_that_do_not_go_with_the_images_are_said(tmp_path: Path):
    folder, _ = packed_folder(tmp_path)
    changed(folder, train_labels=torch.zeros(6, dtype=torch.int64))
    assert "do not go with" in failure(folder)
