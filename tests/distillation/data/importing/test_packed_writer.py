from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.distillation.data import Images
from core.distillation.data.importing.packed_writer import write_packed, write_selected_classes
from core.errors import Refused
from core.jobspec.data import ImportOptions
from tests.distillation.data.test_packed import images, packed_folder


def test_file_has_the_four_tensors_of_the_packed_layout(tmp_path: Path) -> None:
    folder, _ = packed_folder(tmp_path)
    layout = {
        name: (tensor.dtype, tuple(tensor.shape))
        for name, tensor in load_file(folder.dataset_file).items()
    }
    assert layout == {
        "train_images": (torch.uint8, (7, 3, 8, 9)),
        "train_labels": (torch.int64, (7,)),
        "test_images": (torch.uint8, (4, 3, 8, 9)),
        "test_labels": (torch.int64, (4,)),
    }


def test_two_parts_of_one_tensor_can_be_written(tmp_path: Path) -> None:
    """Slices of a tensor share its storage."""
    both = images(10)
    train = Images(both.images_NCHW[:6], both.labels_N[:6])
    test = Images(both.images_NCHW[6:10], both.labels_N[6:10])
    write_packed(tmp_path / "f", train, test)
    assert torch.equal(load_file(tmp_path / "f")["test_images"], both.images_NCHW[6:])


def test_failed_write_leaves_neither_file_nor_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_packed(tmp_path / "f", images(2), images(2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        ([0, 0, 2], [0, 1, 2], 'The class "y" has no training images.'),
        ([0, 1, 2], [0, 1, 1], 'The class "z" has no test images.'),
    ],
)
def test_class_without_images_is_refused(
    tmp_path: Path, train: list[int], test: list[int], sentence: str
) -> None:
    """As for class folders, and the labels of an .npz."""
    pixels = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(Refused) as caught:
        write_selected_classes(
            tmp_path / "f",
            Images(pixels, torch.tensor(train)),
            Images(pixels, torch.tensor(test)),
            ("x", "y", "z"),
            ImportOptions(),
            "Three.",
        )
    assert (caught.value.code, caught.value.message) == ("empty_class", sentence)
    assert list(tmp_path.iterdir()) == []
