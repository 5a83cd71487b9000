"""``distill models``: teachers that were uploaded, and students that jobs have made."""

from pathlib import Path
from typing import Annotated, Any

import typer

from distill_client import spec_file
from distill_client.client import Distill
from distill_client.display import minute, say, shape, show_fields, show_json, show_table
from distill_client.responses import Model

app = typer.Typer(no_args_is_help=True, help="Networks with weights: teachers and students.")
DEFAULT_SIDE = 32
"""Of images, in pixels."""
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models."""
    with Distill() as service:
        found = list(service.models())
    if as_json:
        show_json(found)
        return
    columns = [
        "id",
        "name",
        "status",
        "architecture",
        "parameters",
        "classes",
        "images",
        "made (UTC)",
    ]
    show_table(columns, map(row, found))


def row(model: Model) -> list[object]:
    parameters = f"{model.parameters:,}" if model.parameters else None
    what = [
        model.architecture,
        parameters,
        model.description.get("classes"),
        shape(model.description),
    ]
    return [model.id, model.name, model.status, *what, minute(model.created_at)]


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    architecture: Annotated[str, typer.Option(help="See `distill architectures`.")],
    width: Annotated[int | None, typer.Option(help="Of architectures that have one.")] = None,
    classes: Annotated[int, typer.Option()] = 10,
    channels: Annotated[int, typer.Option(help="Of its images.")] = 3,
    size: Annotated[
        int | None, typer.Option(help="Height and width of its images; default: image_size, or 32.")
    ] = None,
    normalization: Annotated[
        str | None, typer.Option(help="none, cifar10 or cifar100; default: the architecture's.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting of the architecture, e.g. patch_size=4"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Default: the file's name, without its ending.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is ready, or refused.")] = False,
) -> None:
    """Send a checkpoint (safetensors, or torch.save's) to be a teacher."""
    settings = {"width": width, "normalization": normalization}
    network: dict[str, Any] = {"architecture": architecture} | {
        key: it for key, it in settings.items() if it is not None
    }
    for change in changes or []:
        spec_file.apply(network, change)
    side = size or network.get("image_size", DEFAULT_SIDE)
    with Distill() as service:
        model = service.upload_model(
            file, name or file.stem, network, classes, channels=channels, height=side, width=side
        )
        if wait:
            model = service.wait_model(model.id)
    say(f"{model.id} {model.name} is {model.status}.")


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="Id or name.")], as_json: AsJson = False
) -> None:
    """Show one model."""
    with Distill() as service:
        found = service.model(model)
    if as_json:
        show_json(found)
        return
    show_fields(
        {
            "id": found.id,
            "name": found.name,
            "status": found.status,
            "problem": found.problem and found.problem.get("detail"),
            "network": found.description.get("network"),
            "classes": found.description.get("classes"),
            "images": shape(found.description),
            "parameters": found.parameters,
            "made by": found.source_job_id or found.import_job_id,
            "importer's report": found.report or None,
            "SHA-256": found.sha256,
            "made (UTC)": minute(found.created_at),
        }
    )


@app.command()
def delete(model: Annotated[str, typer.Argument(help="Id or name.")]) -> None:
    """Delete a model that no job needs any longer. Its name is free again."""
    with Distill() as service:
        found = service.delete_model(model)
    say(
        f"{found.id} {found.name} is deleted; for some days `distill models undelete {found.id}` brings it back."
    )


@app.command()
def undelete(model_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Bring a deleted model back."""
    with Distill() as service:
        found = service.restore_model(model_id)
    say(f"{found.id} {found.name} is back.")
