"""``distill datasets``: images to train and test on."""

from pathlib import Path
from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import minute, say, shape, show_fields, show_json, show_table
from distill_client.responses import Dataset

app = typer.Typer(no_args_is_help=True, help="Images to train and test on.")
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_datasets(as_json: AsJson = False) -> None:
    """List the data sets."""
    with Distill() as service:
        found = list(service.datasets())
    if as_json:
        show_json(found)
    else:
        show_table(
            ["id", "name", "status", "source", "classes", "images", "training", "test"],
            map(row, found),
        )


def row(dataset: Dataset) -> list[object]:
    facts = dataset.description or {}
    images = [shape(facts), facts.get("train_images"), facts.get("test_images")]
    return [dataset.id, dataset.name, dataset.status, dataset.source, facts.get("classes"), *images]


@app.command()
def add(
    name: str,
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="An archive of images, or an .npz."
        ),
    ] = None,
    folder: Annotated[
        str | None, typer.Option(help="An entry of the service's data folder.")
    ] = None,
    download: Annotated[
        str | None, typer.Option(help="cifar10 or cifar100, where the service may download.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Keep images encoded; they are used at so many pixels a side."),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            help="A file that lists the classes to keep.",
        ),
    ] = None,
    every: Annotated[
        int | None, typer.Option(help="10: keep the 1st, 11th, 21st, ... class of the sorted list.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is ready, or refused.")] = False,
) -> None:
    """Add a data set: a file, an entry of the service's data folder, or a download. One of the three."""
    if sum(source is not None for source in (file, folder, download)) != 1:
        raise typer.BadParameter("One of FILE, --folder and --download is needed.")
    if classes is not None and every is not None:
        raise typer.BadParameter("Classes are chosen by --classes or by --every, not by both.")
    names = None if classes is None else listed(classes)
    with Distill() as service:
        if file is not None:
            dataset = service.upload_dataset(
                file, name, image_size=image_size, classes=names, every=every
            )
        else:
            dataset = service.add_dataset(
                name,
                folder=folder,
                download=download,
                image_size=image_size,
                classes=names,
                every=every,
            )
        if wait:
            dataset = service.wait_dataset(dataset.id)
    say(f"{dataset.id} {dataset.name} is {dataset.status}.")


def listed(path: Path) -> list[str]:
    """A name a line; empty lines do not count."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"{path.name} is not UTF-8 text: a list of classes has one name a line."
        ) from error
    return [name for line in lines if (name := line.strip())]


@app.command()
def show(
    dataset: Annotated[str, typer.Argument(help="Id or name.")], as_json: AsJson = False
) -> None:
    """Show one data set."""
    with Distill() as service:
        found = service.dataset(dataset)
    if as_json:
        show_json(found)
        return
    facts = found.description or {}
    show_fields(
        {
            "id": found.id,
            "name": found.name,
            "status": found.status,
            "problem": found.problem and found.problem.get("detail"),
            "source": found.source,
            "classes": facts.get("classes"),
            "images": shape(found.description) or None,
            "training images": facts.get("train_images"),
            "test images": facts.get("test_images"),
            "imported by": found.import_job_id,
            "importer's report": found.report or None,
            "SHA-256": found.sha256,
            "made (UTC)": minute(found.created_at),
        }
    )


@app.command()
def delete(dataset: Annotated[str, typer.Argument(help="Id or name.")]) -> None:
    """Delete a data set that no job needs any longer. Its name is free again."""
    with Distill() as service:
        found = service.delete_dataset(dataset)
    say(
        f"{found.id} {found.name} is deleted; for some days `distill datasets undelete {found.id}` brings it back."
    )


@app.command()
def undelete(dataset_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Bring a deleted data set back."""
    with Distill() as service:
        found = service.restore_dataset(dataset_id)
    say(f"{found.id} {found.name} is back.")
