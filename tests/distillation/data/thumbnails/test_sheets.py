"""What the pictures show: every tile is the image that the sheet says it is."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.distillation.data import digits
from core.distillation.data.images import Images
from core.distillation.data.thumbnails import builtin, sheets
from core.distillation.data.thumbnails.sheets import DrawnSheet, draw_sheets
from core.jobspec.data import DIGITS, DatasetDescription, Thumbnail, ThumbnailSheet
from core.store.registry import thumbnails


def tile(drawn: DrawnSheet, number: int) -> np.ndarray:
    """Return the pixels of one thumbnail, [H, W, 3]."""
    sheet = drawn.sheet
    left = number % sheet.columns * sheet.tile_width
    top = number // sheet.columns * sheet.tile_height
    picture = np.asarray(Image.open(BytesIO(drawn.content)))
    return picture[top : top + sheet.tile_height, left : left + sheet.tile_width]


def random_images(count: int, classes: int, channels: int = 3, side: int = 8) -> Images:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, side, side)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(count) % classes)


def described(**changes: int) -> DatasetDescription:
    return DIGITS.model_copy(update={"channels": 3, **changes})


def draw(train: Images, test: Images | None = None, **changes: int) -> list[DrawnSheet]:
    """Draw all of these images; ``changes`` are those of the description."""
    parts = {"train": train} if test is None else {"train": train, "test": test}
    thumbnails: list[Thumbnail] = [
        (label, split, index)
        for split, images in parts.items()
        for index, label in enumerate(images.labels_N.tolist())
    ]
    load_images = {
        split: lambda rows, of=images: of.batch(rows)[0] for split, images in parts.items()
    }
    return list(draw_sheets(thumbnails, load_images, described(**changes)))


def test_small_images_are_shown_pixel_by_pixel() -> None:
    train = random_images(40, classes=4)
    test = random_images(7, classes=4)
    (drawn,) = draw(train, test)
    images = drawn.sheet.images
    assert len(images) == 47
    assert [label for label, _, _ in images] == sorted(label for label, _, _ in images)
    for number, (label, split, index) in enumerate(images):
        source = train if split == "train" else test
        assert source.labels_N[index] == label
        expected = source.images_NCHW[index].permute(1, 2, 0).numpy()
        assert np.array_equal(tile(drawn, number), expected)


def test_gray_images_are_gray() -> None:
    images = random_images(2, classes=2, channels=1)
    (drawn,) = draw(images, channels=1)
    expected = images.images_NCHW[1, 0].numpy()
    assert all(np.array_equal(tile(drawn, 1)[:, :, color], expected) for color in range(3))


def test_large_images_are_scaled_and_nearly_the_same() -> None:
    ramp = torch.linspace(0, 255, 100).round().to(torch.uint8).expand(1, 3, 50, 100)
    images = Images(ramp.contiguous(), torch.zeros(1, dtype=torch.int64))
    (drawn,) = draw(images, height=50, width=100)
    assert (drawn.sheet.tile_width, drawn.sheet.tile_height) == (64, 32)
    expected = np.linspace(0, 255, 64)
    assert np.abs(tile(drawn, 0).astype(float) - expected[None, :, None]).max() < 12


def test_a_class_is_on_one_sheet() -> None:
    images = random_images(600, classes=6)
    drawn = draw(images)
    labels = [{label for label, _, _ in sheet.sheet.images} for sheet in drawn]
    assert labels == [{0, 1}, {2, 3}, {4, 5}]
    assert [sheet.sheet.file for sheet in drawn] == [f"thumbnails-00{n}.webp" for n in range(3)]


def test_sheets_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(600, classes=6)
    first, *_ = draw(images)
    monkeypatch.setattr(sheets, "MAX_BYTES", len(first.content))
    assert [drawn.content for drawn in draw(images)] == [first.content]


def test_the_sheets_of_digits_show_its_images(tmp_path: Path) -> None:
    """As drawn anew, and as they come with the program."""
    dataset = digits.load()
    stored = thumbnails._builtin_sheets()
    for row, anew in zip(stored, builtin.draw_digits(), strict=True):
        content = thumbnails.builtin_content(row)
        shipped = DrawnSheet(anew.sheet, content)
        assert row.size == len(content)
        assert [list(image) for image in anew.sheet.images] == row.images
        for number, (label, split, index) in enumerate(anew.sheet.images):
            source = dataset.train if split == "train" else dataset.test
            assert source.labels_N[index] == label
            expected = source.images_NCHW[index, 0].numpy()
            assert np.array_equal(tile(shipped, number)[:, :, 0], expected)
            assert np.array_equal(tile(anew, number)[:, :, 0], expected)


def test_a_sheet_survives_json() -> None:
    (drawn,) = draw(random_images(3, 3))
    assert ThumbnailSheet.model_validate_json(drawn.sheet.model_dump_json()) == drawn.sheet
