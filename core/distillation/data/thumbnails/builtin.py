"""``python -m core.distillation.data.thumbnails.builtin``: draw the thumbnails of digits anew.

No job imports digits, so their sheets come with the program: core/store/registry/digits_thumbnails
has the pictures, and sheets.json, which describes them.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from core.distillation.data import digits
from core.distillation.data.thumbnails.selection import select_thumbnails
from core.distillation.data.thumbnails.sheets import LoadImages, SheetDrawing, Split, draw_sheets

FOLDER = Path(__file__).parents[3] / "store" / "registry" / "digits_thumbnails"


def draw_digits() -> Iterator[SheetDrawing]:
    dataset = digits.load()
    thumbnails = select_thumbnails(
        dataset.train.labels_N.numpy(), dataset.test.labels_N.numpy(), dataset.description.classes
    )
    load_images: dict[Split, LoadImages] = {
        "train": lambda indices_B: dataset.train.batch(indices_B)[0],
        "test": lambda indices_B: dataset.test.batch(indices_B)[0],
    }
    yield from draw_sheets(thumbnails, load_images, dataset.description)


def main() -> None:
    entries = []
    for drawing in draw_digits():
        (FOLDER / drawing.sheet.file).write_bytes(drawing.content)
        entries.append(
            {
                "sheet": drawing.sheet.model_dump(mode="json"),
                "size": len(drawing.content),
                "sha256": hashlib.sha256(drawing.content).hexdigest(),
            }
        )
    (FOLDER / "sheets.json").write_text(json.dumps(entries) + "\n")


if __name__ == "__main__":
    main()
