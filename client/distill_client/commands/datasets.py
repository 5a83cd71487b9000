"""``distill datasets``: images to train and test on."""

from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from distill_client.client import Distill
from distill_client.commands import edits
from distill_client.commands.uploaded_items import (
    echo_deleted,
    echo_restored,
    echo_status,
    report_lines,
    show_item,
)
from distill_client.display import echo, format_shape, show_list
from distill_client.errors import ClientError
from distill_client.options import AsJson, Deleted, IdOrName
from distill_client.responses import Dataset, DatasetImage
from distill_client.spec_file import read_text


class ReadingOptions(TypedDict):
    """How a data set's files are read."""

    image_size: int | None
    classes: list[str] | None
    every: int | None


app = typer.Typer(no_args_is_help=True, help="Images to train and test on.")

COLUMNS = ["id", "name", "status", "source", "classes", "images", "training", "test"]


Archive = Annotated[
    Path | None,
    typer.Argument(
        exists=True, dir_okay=False, readable=True, help="An archive of images, or an .npz."
    ),
]
ClassFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        readable=True,
        help="A file with the names of the classes to keep, one a line.",
    ),
]


@app.command("list")
def list_datasets(deleted: Deleted = False, as_json: AsJson = False) -> None:
    """List the data sets."""
    with Distill() as service:
        show_list(service.datasets(deleted=deleted), COLUMNS, row, as_json=as_json)


def row(dataset: Dataset) -> list[object]:
    description = dataset.description or {}
    return [
        dataset.id,
        dataset.name,
        dataset.status,
        dataset.source,
        description.get("classes"),
        format_shape(description),
        description.get("train_images"),
        description.get("test_images"),
    ]


@app.command()
def add(
    name: str,
    file: Archive = None,
    folder: Annotated[
        str | None, typer.Option(help="An entry of the service's data folder.")
    ] = None,
    download: Annotated[
        str | None, typer.Option(help="cifar10 or cifar100, if the service may download.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Keep the images encoded, and use them with this many pixels a side."),
    ] = None,
    classes: ClassFile = None,
    every: Annotated[
        int | None,
        typer.Option(help="With 10, keep the 1st, 11th, 21st, ... class of the sorted list."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it is ready, or refused.")
    ] = False,
) -> None:
    """Add a data set from a file, from the service's data folder, or by download."""
    if sum(source is not None for source in (file, folder, download)) != 1:
        raise typer.BadParameter("Exactly one of FILE, --folder and --download is required.")
    if classes is not None and every is not None:
        raise typer.BadParameter("--classes and --every exclude each other.")
    names = None if classes is None else read_class_names(classes)
    reading = ReadingOptions(image_size=image_size, classes=names, every=every)
    with Distill() as service:
        if file is not None:
            dataset = service.upload_dataset(file, name, **reading)
        else:
            dataset = service.add_dataset(name, folder=folder, download=download, **reading)
        if wait:
            dataset = service.wait_dataset(dataset.id)
    echo_status(dataset)
    for line in report_lines({**readable_report(dataset), "remarks": None}):
        echo(line)


def read_class_names(path: Path) -> list[str]:
    """Return the names in a file that has one a line; empty lines are skipped."""
    try:
        names = [name for line in read_text(path).split("\n") if (name := line.strip())]
    except ClientError:
        names = []
    if not names:
        raise typer.BadParameter(
            f"{path.name} is not UTF-8 text, or empty; it should have the name of one class a line."
        )
    return names


@app.command()
def show(dataset: IdOrName, as_json: AsJson = False) -> None:
    """Show one data set."""
    with Distill() as service:
        response = service.dataset(dataset)
    description = response.description or {}
    properties = {
        "training images": description.get("train_images"),
        "test images": description.get("test_images"),
        "images to look at": response.images,
        "imported by": response.import_job_id,
    }
    if not as_json:
        response = response.model_copy(update={"report": readable_report(response)})
    show_item(response, {"source": response.source}, properties, as_json=as_json)


IMAGE_COLUMNS = ["class", "split", "index", "picture", "x", "y", "width", "height"]


@app.command()
def images(
    dataset: IdOrName,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Only images of this class.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(help="Of each class, at most this many images.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="A folder for the pictures, which are WebP files."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List some images of a data set, and the pictures that they are parts of."""
    with Distill() as service:
        listed = list(service.dataset_images(dataset, class_name, per_class))
        if to is not None:
            save_pictures(service, dataset, listed, to)
    show_list(listed, IMAGE_COLUMNS, image_row, as_json=as_json)


def save_pictures(service: Distill, dataset: str, listed: list[DatasetImage], folder: Path) -> None:
    """Save each picture once, under the name that it has at the service."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in {picture_name(image): image for image in listed}.values():
        (folder / picture_name(image)).write_bytes(service.dataset_picture(dataset, image))


def picture_name(image: DatasetImage) -> str:
    return Path(image.url).name


def image_row(image: DatasetImage) -> list[object]:
    return [
        image.class_name,
        image.split,
        image.index,
        picture_name(image),
        image.x,
        image.y,
        image.width,
        image.height,
    ]


def readable_report(dataset: Dataset) -> dict[str, Any]:
    """Return the importer's report with a sentence for each reason why files are ignored."""
    report = dict(dataset.report or {})
    ignored = report.pop("ignored", [])
    images = report.pop("images", {})
    if ignored:
        report["ignored"] = [_ignored_sentence(group) for group in ignored]
    if images:
        test = images.get("test", {})
        report["images of each class"] = [
            f"{name} {count} for training and {test.get(name, 0)} for tests"
            for name, count in images.get("train", {}).items()
        ]
    return report


def _ignored_sentence(group: dict[str, Any]) -> str:
    first = ", ".join(group["first"])
    rest = group["files"] - len(group["first"])
    return f"{group['files']} {group['reason']}: {first}{f' and {rest} more' if rest else ''}."


@app.command()
def edit(
    dataset: IdOrName,
    name: edits.Name = None,
    notes: edits.Notes = None,
    notes_file: edits.NotesFile = None,
    metadata: edits.Metadata = None,
    remove: edits.Remove = None,
) -> None:
    """Change a data set's name, notes or metadata."""
    changes = edits.merge_patch(name, notes, notes_file, metadata, remove)
    with Distill() as service:
        edits.echo_edited(service.update_dataset(dataset, changes))


@app.command()
def delete(dataset: IdOrName) -> None:
    """Delete a data set that no job needs any longer. Its name can be used again."""
    with Distill() as service:
        echo_deleted(service.delete_dataset(dataset), "datasets")


@app.command()
def undelete(dataset_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Restore a deleted data set."""
    with Distill() as service:
        echo_restored(service.restore_dataset(dataset_id))
