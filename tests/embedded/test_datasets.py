"""Data sets from upload over import to training, through the embedded service."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill_client.errors import DistillProblem
from tests.builders import training_body
from tests.distillation.data.builders import npz_of, photo_folders, split_folders, zip_of
from tests.embedded.test_service import Start, start

__all__ = ["start"]


def test_what_an_import_ignores_reaches_the_user(start: Start, tmp_path: Path) -> None:
    files = split_folders() | {"train/cat/a.heic": b"x", ".hidden/0.png": b"x"}
    (tmp_path / "pets.zip").write_bytes(zip_of(files))
    with start().ready().client() as service:
        dataset = service.upload_dataset(tmp_path / "pets.zip", "pets")
        assert service.wait_dataset(dataset.id).report == {
            "layout": 'One folder a class, training images in "train" and test images in "test".',
            "remarks": [],
            "ignored_files": 2,
            "ignored": [
                {
                    "reason": "of an image format that is not read; save it as PNG or JPEG",
                    "files": 1,
                    "first": ["train/cat/a.heic"],
                },
                {"reason": "hidden", "files": 1, "first": [".hidden/0.png"]},
            ],
            "images": {"train": {"cat": 3, "mouse": 3}, "test": {"cat": 2, "mouse": 2}},
        }


def test_what_was_imported_can_be_looked_at(start: Start, tmp_path: Path) -> None:
    """Tile by tile, the pictures are the images of the archive."""
    files = split_folders()
    (tmp_path / "pets.zip").write_bytes(zip_of(files))
    with start().ready().client() as service:
        dataset = service.upload_dataset(tmp_path / "pets.zip", "pets")
        assert service.wait_dataset(dataset.id).images == 10
        listed = list(service.dataset_images("pets"))
        assert [image.class_name for image in listed] == 5 * ["cat"] + 5 * ["mouse"]
        for image in listed:
            folder = f"{image.split}/{image.class_name}/"
            names = sorted(name for name in files if name.startswith(folder))
            # Positions count the images of a part over all of its classes.
            name = names[image.index - image.label * len(names)]
            picture = Image.open(BytesIO(service.dataset_picture("pets", image)))
            corners = (image.x, image.y, image.x + image.width, image.y + image.height)
            expected = Image.open(BytesIO(files[name])).convert("RGB")
            assert picture.crop(corners).convert("RGB").tobytes() == expected.tobytes()


def test_photographs_and_synthetic_images_train_together(start: Start, tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(zip_of(photo_folders(train=16, test=3)))
    synthetic = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), np.uint8)
    (tmp_path / "synthetic.npz").write_bytes(npz_of(synthetic, np.arange(50) % 2))
    (tmp_path / "unsafe.npz").write_bytes(npz_of(synthetic, np.array([{}] * 50, dtype=object)))
    with start().ready().client() as service:
        named = service.upload_dataset(
            tmp_path / "photos.zip", "photos", image_size=16, classes=["mouse", "cat"]
        )
        extra = service.upload_dataset(tmp_path / "synthetic.npz", "synthetic")
        unsafe = service.upload_dataset(tmp_path / "unsafe.npz", "unsafe")
        for row in (named, extra):
            assert service.wait_dataset(row.id).status == "ready"
        with pytest.raises(DistillProblem, match="array of Python objects") as refused:
            service.wait_dataset(unsafe.id)
        assert refused.value.code == "unsafe_dataset"
        description = service.dataset("photos").description
        assert description is not None
        assert (description["source"], description["height"]) == ("encoded", 16)
        assert description["class_names"] == ["mouse", "cat"]

        data = {
            "dataset": "photos",
            "held_out": 0.1,
            "extra": {"dataset": "synthetic", "ratio": 0.5},
        }
        job = service.wait(
            service.submit(training_body(data=data, schedule={"epochs": 2, "batch_size": 8})).id
        )
        assert job.status == "succeeded", job.failure
        assert service.report(job.id)["data"]["images"] == {
            "training": 29,
            "held_out": 3,
            "extra": 50,
            "test": 6,
        }
