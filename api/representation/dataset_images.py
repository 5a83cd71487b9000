"""Images of a data set as response bodies."""

from typing import Literal

from pydantic import Field

from api.representation.schemas import ResponseBody
from core.store.database.tables import DatasetRow
from core.store.registry import datasets
from core.store.registry.thumbnails import DatasetImage


class DatasetImageResponse(ResponseBody):
    """One image of a data set, as a part of a picture that shows many of them."""

    class_name: str = Field(serialization_alias="class", validation_alias="class")
    label: int
    """Position of the class among the data set's classes, from 0."""
    split: Literal["train", "test"]
    index: int
    """Position of the image among the training or the test images, from 0."""
    url: str
    """Path of the picture. It never changes."""
    x: int
    """Where the image begins, in pixels from the left; the picture is to be cut there."""
    y: int
    """In pixels from the top."""
    width: int
    """In pixels: the image's own, or at most 64."""
    height: int


def image(row: DatasetRow, item: DatasetImage, root_path: str) -> DatasetImageResponse:
    """``root_path``: the path prefix under which callers reach the service."""
    description = datasets.describe(row)
    class_name = {"class": description.class_names[item.label]}
    return DatasetImageResponse(
        **class_name,
        label=item.label,
        split=item.split,
        index=item.index,
        url=f"{root_path}/v1/datasets/{row.id}/images/{item.sheet}.webp",
        x=item.x,
        y=item.y,
        width=item.width,
        height=item.height,
    )
