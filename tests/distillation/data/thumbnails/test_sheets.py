"""What the pictures show: every tile is the image that the sheet says it is."""

from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.distillation.data import digits
from core.distillation.data.images import Images
from core.distillation.data.thumbnails import builtin, sheets
from core.distillation.data.thumbnails.sheets import LoadImages, SheetDrawing, Split, draw_sheets
from core.jobspec.data import DIGITS, DatasetDescription, Thumbnail, ThumbnailSheet
from core.store.registry import thumbnails


def tile(drawing: SheetDrawing, number: int) -> np.ndarray:
    """Return the pixels of one thumbnail, [H, W, 3]."""
    sheet = drawing.sheet
    x = number % sheet.columns * sheet.tile_width
    y = number // sheet.columns * sheet.tile_height
    picture = np.asarray(Image.open(BytesIO(drawing.content)))
    return picture[y : y + sheet.tile_height, x : x + sheet.tile_width]


def random_images(count: int, classes: int, channels: int = 3, side: int = 8) -> Images:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, side, side)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(count) % classes)


def described(**changes: int) -> DatasetDescription:
    return DIGITS.model_copy(update={"channels": 3, **changes})


def load(images: Images, rows_B: Tensor) -> Tensor:
    return images.batch(rows_B)[0]


def draw(train: Images, test: Images | None = None, **changes: int) -> list[SheetDrawing]:
    """Draw all of these images; ``changes`` are those of the description."""
    parts: dict[Split, Images] = {"train": train}
    if test is not None:
        parts["test"] = test
    thumbnails: list[Thumbnail] = []
    load_images: dict[Split, LoadImages] = {}
    for split, images in parts.items():
        labels: list[int] = images.labels_N.tolist()
        thumbnails += [(label, split, index) for index, label in enumerate(labels)]
        load_images[split] = partial(load, images)
    return list(draw_sheets(thumbnails, load_images, described(**changes)))


def test_small_images_are_shown_pixel_by_pixel() -> None:
    train = random_images(40, classes=4)
    test = random_images(7, classes=4)
    (drawing,) = draw(train, test)
    images = drawing.sheet.images
    assert len(images) == 47
    assert [label for label, _, _ in images] == sorted(label for label, _, _ in images)
    for number, (label, split, index) in enumerate(images):
        source = train if split == "train" else test
        assert source.labels_N[index] == label
        expected = source.images_NCHW[index].permute(1, 2, 0).numpy()
        assert np.array_equal(tile(drawing, number), expected)


def test_gray_images_are_gray() -> None:
    images = random_images(2, classes=2, channels=1)
    (drawing,) = draw(images, channels=1)
    expected = images.images_NCHW[1, 0].numpy()
    assert all(np.array_equal(tile(drawing, 1)[:, :, color], expected) for color in range(3))


def test_large_images_are_scaled_and_nearly_the_same() -> None:
    ramp = torch.linspace(0, 255, 100).round().to(torch.uint8).expand(1, 3, 50, 100)
    images = Images(ramp.contiguous(), torch.zeros(1, dtype=torch.int64))
    (drawing,) = draw(images, height=50, width=100)
    assert (drawing.sheet.tile_width, drawing.sheet.tile_height) == (64, 32)
    expected = np.linspace(0, 255, 64)
    assert np.abs(tile(drawing, 0).astype(float) - expected[None, :, None]).max() < 12


def test_a_class_is_on_one_sheet() -> None:
    images = random_images(600, classes=6)
    drawing = draw(images)
    labels = [{label for label, _, _ in sheet.sheet.images} for sheet in drawing]
    assert labels == [{0, 1}, {2, 3}, {4, 5}]
    assert [sheet.sheet.file for sheet in drawing] == [f"thumbnails-00{n}.webp" for n in range(3)]


def test_sheets_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(600, classes=6)
    first, *_ = draw(images)
    monkeypatch.setattr(sheets, "MAX_BYTES", len(first.content))
    assert [drawing.content for drawing in draw(images)] == [first.content]


def test_the_sheets_of_digits_show_its_images() -> None:
    """As drawing anew, and as they come with the program."""
    dataset = digits.load()
    stored = thumbnails._builtin_sheets()
    for row, anew in zip(stored, builtin.draw_digits(), strict=True):
        content = thumbnails.builtin_content(row)
        shipped = SheetDrawing(anew.sheet, content)
        assert row.size == len(content)
        assert [list(image) for image in anew.sheet.images] == row.images
        for number, (label, split, index) in enumerate(anew.sheet.images):
            source = dataset.train if split == "train" else dataset.test
            assert source.labels_N[index] == label
            image_1CHW, _ = source.batch(torch.tensor([index]))
            expected = (255 * image_1CHW[0, 0]).round().numpy()
            assert np.array_equal(tile(shipped, number)[:, :, 0], expected)
            assert np.array_equal(tile(anew, number)[:, :, 0], expected)


def test_a_sheet_survives_json() -> None:
    (drawing,) = draw(random_images(3, 3))
    assert ThumbnailSheet.model_validate_json(drawing.sheet.model_dump_json()) == drawing.sheet
