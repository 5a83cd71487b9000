"""Thumbnails: pages of a data set's images, their sheets, and what becomes of the pictures."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from core.errors import Invalid, NotFound
from core.jobspec.data import SHEET_IMAGES, Thumbnail, ThumbnailSheet
from core.settings import Settings
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import (
    DEFAULT_PROJECT,
    DIGITS_ID,
    DatasetRow,
    ThumbnailSheetRow,
)
from core.store.objects import references
from core.store.objects.collector import Collector
from core.store.objects.store import Objects, artifact_key
from core.store.registry import datasets, thumbnails, uploaded_items
from core.store.registry.thumbnails import DatasetImage, StoredSheet
from tests.builders import dataset_description
from tests.store.objects.builders import all_keys, put

FIRST: list[Thumbnail] = [(label, "train", index) for label in range(2) for index in range(3)]
SECOND: list[Thumbnail] = [(2, "train", 7), (2, "test", 1), (5, "test", 0)]


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(f"file://{tmp_path / 'objects'}")


def stored_sheet(objects: Objects, number: int, images: list[Thumbnail]) -> StoredSheet:
    """Store a picture; the sheet has two columns of tiles of 10 x 8 pixels."""
    file = f"thumbnails-{number:03d}.webp"
    sheet = ThumbnailSheet(file=file, columns=2, tile_width=10, tile_height=8, images=tuple(images))
    key = artifact_key("job_import", 1, file)
    return StoredSheet(sheet, key, *put(objects, key, f"picture {number}".encode()))


@pytest.fixture
def dataset(engine: Engine, objects: Objects) -> DatasetRow:
    """A ready data set with nine images on two sheets."""
    sheets = [stored_sheet(objects, 0, FIRST), stored_sheet(objects, 1, SECOND)]
    size, sha256 = put(objects, "jobs/job_import/1/artifacts/dataset.safetensors")
    with transaction(engine, FencedSession) as session:
        row = datasets.create(session, DEFAULT_PROJECT, "birds", "upload")
        return datasets.mark_ready(
            session,
            row,
            dataset_description(),
            report={},
            object_key="jobs/job_import/1/artifacts/dataset.safetensors",
            size=size,
            sha256=sha256,
            sheets=sheets,
        )


def listed(engine: Engine, dataset_id: str, limit: int = 200, **filters: int) -> list[DatasetImage]:
    """Return all pages together."""
    images: list[DatasetImage] = []
    after = None
    while True:
        with read_session(engine) as session:
            row = uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, dataset_id)
            page, after = thumbnails.list_images(session, row, after=after, limit=limit, **filters)
        assert len(page) == limit or after is None
        images += page
        if after is None:
            return images


def thumbnails_of(images: list[DatasetImage]) -> list[Thumbnail]:
    return [(image.label, image.split, image.index) for image in images]


def test_images_are_listed_in_the_order_of_labels(engine: Engine, dataset: DatasetRow) -> None:
    assert dataset.images == 9
    for limit in (1, 2, 4, 9, 200):
        assert thumbnails_of(listed(engine, dataset.id, limit)) == FIRST + SECOND


def test_an_image_is_a_part_of_its_picture(engine: Engine, dataset: DatasetRow) -> None:
    images = listed(engine, dataset.id)
    assert (images[3].x, images[3].y, images[3].width, images[3].height) == (10, 8, 10, 8)
    assert (images[8].x, images[8].y) == (0, 8)
    with read_session(engine) as session:
        sheets = [thumbnails.get_sheet(session, dataset, image.sheet) for image in images]
    assert [sheet.number for sheet in sheets] == [0] * 6 + [1] * 3


def test_images_of_one_class(engine: Engine, dataset: DatasetRow) -> None:
    assert thumbnails_of(listed(engine, dataset.id, label=1)) == FIRST[3:]
    assert thumbnails_of(listed(engine, dataset.id, label=2, limit=1)) == SECOND[:2]
    assert listed(engine, dataset.id, label=3) == []
    assert listed(engine, dataset.id, label=9) == []


def test_few_images_of_each_class(engine: Engine, dataset: DatasetRow) -> None:
    expected = [FIRST[0], FIRST[3], SECOND[0], SECOND[2]]
    for limit in (1, 3, 200):
        assert thumbnails_of(listed(engine, dataset.id, limit, per_class=1)) == expected


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "٣", "9" * 10])
def test_a_bad_cursor_is_invalid(engine: Engine, dataset: DatasetRow, cursor: str) -> None:
    with read_session(engine) as session, pytest.raises(Invalid) as caught:
        thumbnails.list_images(session, dataset, after=cursor)
    assert caught.value.errors[0].path == ("after",)


def test_a_cursor_behind_the_end_is_an_empty_page(engine: Engine, dataset: DatasetRow) -> None:
    with read_session(engine) as session:
        end = str(2 * SHEET_IMAGES)
        assert thumbnails.list_images(session, dataset, after=end) == ([], None)


def test_a_data_set_of_an_earlier_version_has_no_images(engine: Engine) -> None:
    with write_session(engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, "old", "upload")
    with read_session(engine) as session, pytest.raises(NotFound) as caught:
        thumbnails.list_images(session, row)
    assert caught.value.code == "no_images"
    assert "Import its files again" in caught.value.message


def test_sheets_are_those_of_the_data_set(engine: Engine, dataset: DatasetRow) -> None:
    with write_session(engine) as session:
        other = datasets.create(session, DEFAULT_PROJECT, "other", "upload")
    with read_session(engine) as session:
        sheet = session.scalars(select(ThumbnailSheetRow)).first()
        assert sheet is not None
        with pytest.raises(NotFound):
            thumbnails.get_sheet(session, other, sheet.sha256)
        with pytest.raises(NotFound):
            thumbnails.get_sheet(session, dataset, "0" * 64)


def test_digits_come_with_their_images(engine: Engine) -> None:
    images = listed(engine, DIGITS_ID, limit=64)
    assert len(images) == 640
    with read_session(engine) as session:
        digits = session.get_one(DatasetRow, DIGITS_ID)
        assert digits.images == 640
        assert digits.report is not None
        counts = digits.report["images"]
        sheet = thumbnails.get_sheet(session, digits, images[-1].sheet)
    assert sum(counts["train"].values()) == 1437
    assert sum(counts["test"].values()) == 360
    assert len(thumbnails.builtin_content(sheet)) == sheet.size


def test_pictures_are_files_of_the_data_set(
    engine: Engine, objects: Objects, dataset: DatasetRow, tmp_path: Path
) -> None:
    """A backup copies them; the collector deletes them with the data set, and not before."""
    keys = {file.key for file in references.list_files(engine)}
    assert keys == all_keys(objects)
    assert len(keys) == 3
    settings = Settings(home=tmp_path, retain_deleted_days=0, orphan_grace_hours=0)
    assert list(Collector(settings, engine, objects).collect()) == []
    with write_session(engine) as session:
        uploaded_items.delete_item(session, DatasetRow, DEFAULT_PROJECT, dataset.id)
    (removed,) = Collector(settings, engine, objects).collect()
    assert (removed.name, removed.size) == (dataset.id, 5 + 2 * len("picture 0"))
    assert all_keys(objects) == set()
    with read_session(engine) as session:
        assert session.scalar(select(func.count()).select_from(ThumbnailSheetRow)) == 0
