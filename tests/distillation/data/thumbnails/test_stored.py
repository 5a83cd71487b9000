"""Thumbnails that an import makes, against the images of the data set that it has written."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.distillation.data import load
from core.distillation.jobs.dataset_import import import_dataset
from core.distillation.jobs.import_progress import ImportStopped
from core.job_folder import Imported, JobFolder
from tests.distillation.data.builders import (
    ImportEncoded,
    ImportUpload,
    import_job,
    install_import,
    npz_of,
    photo_folders,
    random_pixels,
    split_folders,
    zip_of,
)


def compare_tiles(job: JobFolder, result: Imported, tolerance: int) -> int:
    """Compare every thumbnail with its image, and return how many there are."""
    dataset = load(job)
    parts = {"train": dataset.train, "test": dataset.test}
    count = 0
    for sheet in result.sheets:
        picture = np.asarray(Image.open(BytesIO((job.output / sheet.file).read_bytes())))
        for number, (label, split, index) in enumerate(sheet.images):
            images_BCHW, labels_B = parts[split].batch(torch.tensor([index]))
            assert int(labels_B) == label
            y = number // sheet.columns * sheet.tile_height
            x = number % sheet.columns * sheet.tile_width
            tile = picture[y : y + sheet.tile_height, x : x + sheet.tile_width]
            expected = (images_BCHW[0] * 255).round().permute(1, 2, 0).numpy()
            assert np.abs(tile.astype(float) - expected).max() <= tolerance
            count += 1
    return count


def test_decoded_images_are_shown(import_upload: ImportUpload) -> None:
    job = import_upload(zip_of(split_folders()))
    result = install_import(job)
    assert compare_tiles(job, result, tolerance=0) == 10


def test_encoded_images_are_shown_as_they_are_used(import_encoded: ImportEncoded) -> None:
    job = import_encoded(zip_of(photo_folders()))
    result = job.read_events()[0][-1]
    assert isinstance(result, Imported)
    assert compare_tiles(job, result, tolerance=0) == 18


def test_photographs_are_scaled(import_encoded: ImportEncoded) -> None:
    job = import_encoded(zip_of(photo_folders()), image_size=128)
    result = job.read_events()[0][-1]
    assert isinstance(result, Imported)
    (sheet,) = result.sheets
    assert (sheet.tile_width, sheet.tile_height) == (64, 64)
    assert len(sheet.images) == 18


def test_images_without_test_images_are_shown(import_upload: ImportUpload) -> None:
    job = import_upload(npz_of(random_pixels(90), np.arange(90) % 3))
    result = job.read_events()[0][-1]
    assert isinstance(result, Imported)
    (sheet,) = result.sheets
    assert {split for _, split, _ in sheet.images} == {"train"}
    assert len(sheet.images) == 90


def test_an_import_can_be_stopped_between_sheets(tmp_path: Path) -> None:
    """300 classes are on two sheets; the call behind the first one stops it."""
    job = import_job(tmp_path / "job")
    job.upload.write_bytes(npz_of(random_pixels(300), np.arange(300)))

    def progress(completed: int, total: int) -> None:
        if (job.output / "thumbnails-000.webp").exists():
            raise ImportStopped

    with pytest.raises(ImportStopped):
        import_dataset(job, progress)
    assert [path.name for path in sorted(job.output.glob("*.webp"))] == ["thumbnails-000.webp"]
