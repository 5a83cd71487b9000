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
from core.distillation.data.thumbnails.sheets import DrawnSheet, LoadImages, Split, draw_sheets

FOLDER = Path(__file__).parents[3] / "store" / "registry" / "digits_thumbnails"


def draw_digits() -> Iterator[DrawnSheet]:
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
    for drawn in draw_digits():
        (FOLDER / drawn.sheet.file).write_bytes(drawn.content)
        entries.append(
            {
                "sheet": drawn.sheet.model_dump(mode="json"),
                "size": len(drawn.content),
                "sha256": hashlib.sha256(drawn.content).hexdigest(),
            }
        )
    (FOLDER / "sheets.json").write_text(json.dumps(entries) + "\n")


if __name__ == "__main__":
    main()
