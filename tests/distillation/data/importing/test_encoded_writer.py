"""Imports of images that stay encoded: what is stored, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageFile
from safetensors.torch import load_file

from core.distillation.data import load, tensor_file
from core.distillation.data.importing import encoded_writer, verification
from core.distillation.data.importing.image_files import open_image_file
from core.distillation.data.importing.verification import verify_images
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from tests.distillation.data.builders import (
    ImportEncoded,
    class_folders,
    dataset_of,
    image_file,
    import_job,
    install_import,
    npz_of,
    photo_file,
    photo_folders,
    png_of_size,
    split_folders,
    tar_of,
    write_files,
    zip_of,
)


def refusal(
    import_encoded: ImportEncoded, files: dict[str, bytes], **changes: Any
) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        import_encoded(zip_of(files), **changes)
    return caught.value.code, caught.value.message


def test_files_are_stored_unchanged(import_encoded: ImportEncoded) -> None:
    files = photo_folders()
    job = import_encoded(zip_of(files))
    tensors = load_file(job.dataset_file)
    for part in ("train", "test"):
        names = sorted(name for name in files if name.startswith(part))
        assert bytes(tensors[f"{part}_bytes"].numpy()) == b"".join(files[name] for name in names)
        sizes = [len(files[name]) for name in names]
        assert tensors[f"{part}_offsets"].tolist() == np.cumsum([0, *sizes]).tolist()
    assert tensors["train_labels"].tolist() == [0] * 6 + [1] * 6
    assert tensors["test_labels"].tolist() == [0] * 3 + [1] * 3


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_description_has_the_size_at_which_images_are_used(
    import_encoded: ImportEncoded, pack: Any
) -> None:
    dataset = import_encoded(pack(photo_folders())).read_dataset()
    assert (dataset.source, dataset.classes, dataset.channels) == ("encoded", 2, 3)
    assert (dataset.height, dataset.width) == (32, 32)
    assert (dataset.train_images, dataset.test_images) == (12, 6)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_there_is_one_channel_only_if_every_image_is_gray(
    import_encoded: ImportEncoded, mode: str, channels: int
) -> None:
    photos = photo_folders(test=1, mode="L")
    # A WebP is never gray.
    files = {name: data for name, data in photos.items() if not name.endswith("webp")}
    files |= {"test/cat/last.png": photo_file((40, 40), mode=mode, image_format="PNG")}
    job = import_encoded(zip_of(files))
    assert job.read_dataset().channels == channels
    assert load(job).train.batch(torch.arange(3))[0].shape == (3, channels, 32, 32)


def test_folder_of_the_operator_is_imported(tmp_path: Path) -> None:
    write_files(tmp_path / "photos", photo_folders())
    job = import_job(tmp_path / "job", source="folder", folder="photos", image_size=32)
    job.upload.symlink_to(tmp_path / "photos")
    import_dataset(job)
    assert dataset_of(install_import(job)).source == "encoded"
    assert len(load(job).train) == 12


def test_images_of_one_size_may_stay_encoded_too(import_encoded: ImportEncoded) -> None:
    upload = zip_of(class_folders() | split_folders(""))
    assert import_encoded(upload, image_size=8).read_dataset().source == "encoded"


# -- what is refused


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[: len(data) // 2], "unreadable_image"),
        (lambda data: data[:200] + bytes(len(data) - 200), "unreadable_image"),
        (lambda data: b"", "unreadable_image"),
        (lambda data: b"<svg></svg>", "unreadable_image"),
        (lambda data: image_file(size=(7, 20)), "too_small"),
        (lambda data: image_file(size=(16_385, 8)), "too_large"),
    ],
)
def test_unusable_image_is_refused_by_name(
    import_encoded: ImportEncoded, change: Any, code: str
) -> None:
    files = photo_folders()
    files["train/mouse/1.png"] = change(files["train/mouse/1.png"])
    actual_code, message = refusal(import_encoded, files)
    assert (actual_code, '"train/mouse/1.png"' in message) == (code, True)


def test_damaged_image_with_a_valid_header_is_refused(import_encoded: ImportEncoded) -> None:
    files = photo_folders()
    data = photo_file((64, 64), image_format="PNG")
    files["test/cat/1.png"] = data[:-40] + bytes(8) + data[-32:]
    assert refusal(import_encoded, files)[0] == "unreadable_image"


@pytest.mark.parametrize("side", [9_000, 50_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_image_with_too_many_pixels_is_refused_before_decoding(
    import_encoded: ImportEncoded, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    files = {
        f"{part}/{name}/0.png": png_of_size(side, side)
        for part in ("train", "test")
        for name in "ab"
    }
    code, message = refusal(import_encoded, files)
    assert (code, "pixels" in message) == ("too_large", True)


def test_too_many_bytes_are_refused_before_any_is_written(
    import_encoded: ImportEncoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_writer, "MAX_BYTES", 1000)
    monkeypatch.setattr(tensor_file, "write_tensors", lambda *_: pytest.fail("written"))
    assert refusal(import_encoded, photo_folders())[0] == "too_large"


def test_file_that_changes_during_the_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files(tmp_path / "photos", photo_folders())
    job = import_job(tmp_path / "job", source="folder", folder="photos", image_size=32)
    job.upload.symlink_to(root)

    def change_then_verify(files: Any, paths: Any, progress: Any) -> Any:
        (root / "train/cat/0.jpeg").write_bytes(photo_file((300, 300)))
        return verify_images(files, paths, progress)

    monkeypatch.setattr(encoded_writer, "verify_images", change_then_verify)
    with pytest.raises(Refused) as caught:
        import_dataset(job)
    assert caught.value.code == "unreadable_image"
    assert '"train/cat/0.jpeg" changed' in caught.value.message


def test_few_images_are_in_memory_at_a_time(
    import_encoded: ImportEncoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = written = 0
    files = {
        f"{part}/{name}/{number}.png": image_file()
        for part in ("train", "test")
        for name in "ab"
        for number in range(50)
    }

    def counting_open(*arguments: Any) -> Any:
        nonlocal read
        read += 1
        return open_image_file(*arguments)

    def counting_verify(*arguments: Any) -> Any:
        nonlocal written
        for result in verify_images(*arguments):
            assert read - written <= verification.MAX_PENDING + 1
            written += 1
            yield result

    monkeypatch.setattr(verification, "open_image_file", counting_open)
    monkeypatch.setattr(encoded_writer, "verify_images", counting_verify)
    import_encoded(zip_of(files))
    assert (read, written) == (200, 200)


def test_decoded_images_cannot_stay_encoded(import_encoded: ImportEncoded) -> None:
    with pytest.raises(Refused) as caught:
        import_encoded(npz_of(np.zeros((4, 8, 8, 3), np.uint8), np.arange(4)))
    assert caught.value.code == "unfitting_image_size"
