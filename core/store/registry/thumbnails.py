"""Thumbnails of data sets: some of their images, many to a sheet, which their import has drawn.

Nothing here decodes a picture. Those of digits, which no job imports, come with the program.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from core.jobspec.data import SHEET_IMAGES, ThumbnailSheet
from core.store.database.fence import FencedSession
from core.store.database.tables import DIGITS_ID, DatasetRow, ThumbnailSheetRow

MEDIA_TYPE = "image/webp"
BUILTIN = Path(__file__).parent / "digits_thumbnails"
MAX_CURSOR_DIGITS = 9
PAGE_ROWS = 4


@dataclass(frozen=True)
class StoredSheet:
    """A sheet whose picture is in the object store; ``size`` in bytes."""

    sheet: ThumbnailSheet
    object_key: str
    size: int
    sha256: str

    def to_row(self, dataset_id: str, number: int) -> ThumbnailSheetRow:
        images = self.sheet.images
        return ThumbnailSheetRow(
            dataset_id=dataset_id,
            number=number,
            first_label=images[0][0],
            last_label=images[-1][0],
            columns=self.sheet.columns,
            tile_width=self.sheet.tile_width,
            tile_height=self.sheet.tile_height,
            images=[list(image) for image in images],
            object_key=self.object_key,
            size=self.size,
            sha256=self.sha256,
        )


@dataclass(frozen=True)
class DatasetImage:
    """One image of a data set, and where it is on a sheet, in pixels from the left and the top."""

    cursor: str
    label: int
    split: Literal["train", "test"]
    index: int
    """Its position among the training or the test images, from 0."""
    sheet: str
    """SHA-256 of the picture."""
    x: int
    y: int
    width: int
    height: int


def record(session: FencedSession, dataset: DatasetRow, sheets: Sequence[StoredSheet]) -> None:
    """Record the sheets that an import has drawn, in place of any before."""
    session.execute(delete(ThumbnailSheetRow).where(ThumbnailSheetRow.dataset_id == dataset.id))
    session.add_all(stored.to_row(dataset.id, number) for number, stored in enumerate(sheets))
    dataset.images = sum(len(stored.sheet.images) for stored in sheets) or None


def list_images(
    session: Session,
    dataset: DatasetRow,
    *,
    label: int | None = None,
    per_class: int | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[DatasetImage], str | None]:
    """Return one page in the order of the labels, and the next page's cursor; None at the end.

    ``label``: of this class alone. ``per_class``: the first images of each class. Raises NotFound
    (code ``no_images``) for a data set without thumbnails, and Invalid for a bad cursor.
    """
    if dataset.images is None:
        raise NotFound(
            f"Data set {dataset.name!r} has no images to look at: an earlier version imported it. "
            "Import its files again, under another name, to see them.",
            code="no_images",
        )
    page: list[DatasetImage] = []
    for image in _images(session, dataset, label, per_class, _parse_cursor(after)):
        if len(page) == limit:
            return page, page[-1].cursor
        page.append(image)
    return page, None


def get_sheet(session: Session, dataset: DatasetRow, sha256: str) -> ThumbnailSheetRow:
    """Return the sheet whose picture has this SHA-256. Raises NotFound."""
    if dataset.id == DIGITS_ID:
        sheet = next((row for row in _builtin_sheets() if row.sha256 == sha256), None)
    else:
        statement = select(ThumbnailSheetRow).where(
            ThumbnailSheetRow.dataset_id == dataset.id, ThumbnailSheetRow.sha256 == sha256
        )
        sheet = session.scalars(statement).first()
    if sheet is None:
        raise NotFound(f"Data set {dataset.name!r} has no sheet {sha256[:64]!r}.")
    return sheet


def builtin_content(sheet: ThumbnailSheetRow) -> bytes:
    """Return the picture of a sheet of digits."""
    return (BUILTIN / sheet.object_key).read_bytes()


def _images(
    session: Session, dataset: DatasetRow, label: int | None, per_class: int | None, start: int
) -> Iterator[DatasetImage]:
    """Yield the images from position ``start`` on: a sheet's number times 256, plus its tile."""
    for sheet in _sheets(session, dataset, label, start // SHEET_IMAGES):
        rank = 0
        previous_label = None
        for tile, (tile_label, split, index) in enumerate(sheet.images):
            rank = rank + 1 if tile_label == previous_label else 0
            previous_label = tile_label
            position = sheet.number * SHEET_IMAGES + tile
            is_selected = label in (None, tile_label) and (per_class is None or rank < per_class)
            if position < start or not is_selected:
                continue
            yield DatasetImage(
                cursor=str(position),
                label=tile_label,
                split=split,
                index=index,
                sheet=sheet.sha256,
                x=tile % sheet.columns * sheet.tile_width,
                y=tile // sheet.columns * sheet.tile_height,
                width=sheet.tile_width,
                height=sheet.tile_height,
            )


def _sheets(
    session: Session, dataset: DatasetRow, label: int | None, first_number: int
) -> Iterator[ThumbnailSheetRow]:
    """Yield the sheets from a number on; those of one label, of which there is one, or of all."""
    if dataset.id == DIGITS_ID:
        yield from _builtin_sheets()[first_number:]
        return
    sheet = ThumbnailSheetRow
    of_dataset = select(sheet).where(sheet.dataset_id == dataset.id)
    if label is not None:
        of_dataset = of_dataset.where(sheet.first_label <= label, sheet.last_label >= label)
    page = of_dataset.order_by(sheet.number).limit(PAGE_ROWS)
    while rows := session.scalars(page.where(sheet.number >= first_number)).all():
        yield from rows
        first_number = rows[-1].number + 1


@cache
def _builtin_sheets() -> list[ThumbnailSheetRow]:
    """Return the sheets of digits, as rows that are in no database; keys are names of files."""
    rows = []
    for number, entry in enumerate(json.loads((BUILTIN / "sheets.json").read_text())):
        sheet = ThumbnailSheet.model_validate_json(json.dumps(entry["sheet"]))
        stored = StoredSheet(sheet, sheet.file, entry["size"], entry["sha256"])
        rows.append(stored.to_row(DIGITS_ID, number))
    return rows


def _parse_cursor(after: str | None) -> int:
    """Return the position behind the last image of the page before."""
    if after is None:
        return 0
    if not after.isdecimal() or not after.isascii() or len(after) > MAX_CURSOR_DIGITS:
        message = "No page ever returned this cursor; leave it out to begin at the start."
        raise Invalid.field("after", message=message, code="invalid_cursor")
    return int(after) + 1
