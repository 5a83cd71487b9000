"""``distill models``: uploaded teachers, and students of jobs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from distill_client import spec_file
from distill_client.client import Distill
from distill_client.commands.uploaded_items import (
    echo_deleted,
    echo_restored,
    echo_status,
    show_item,
)
from distill_client.display import format_minute, format_shape, show_list
from distill_client.options import AsJson, IdOrName
from distill_client.responses import Model

app = typer.Typer(no_args_is_help=True, help="Networks with weights: teachers and students.")

DEFAULT_SIDE = 32
"""Height and width of images, in pixels."""
COLUMNS = [
    "id",
    "name",
    "status",
    "architecture",
    "parameters",
    "classes",
    "images",
    "created (UTC)",
]

Normalization = Annotated[
    str | None,
    typer.Option(
        "--normalization",
        "--normalisation",
        help="none, cifar10, cifar10_robustness, cifar100, imagenet or inception: whose mean and "
        "standard deviation normalize the images. "
        "Default: those in the file, else by architecture and classes.",
    ),
]

StateDict = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Which of several state dicts in the file, such as state_dict_ema; "
        "default: one that fits, raw weights before averages.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting of the architecture, for example patch_size=4; repeatable.",
    ),
]
Side = Annotated[
    int | None,
    typer.Option(
        help="Height and width of the images; default: the architecture's image_size, or 32."
    ),
]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models."""
    with Distill() as service:
        show_list(service.models(), COLUMNS, row, as_json=as_json)


def row(model: Model) -> list[object]:
    return [
        model.id,
        model.name,
        model.status,
        model.architecture,
        f"{model.parameters:,}" if model.parameters else None,
        model.description.get("classes"),
        format_shape(model.description),
        format_minute(model.created_at),
    ]


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    architecture: Annotated[str, typer.Option(help="See `distill architectures`.")],
    width: Annotated[
        int | None, typer.Option(help="Width, for architectures that have one.")
    ] = None,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    channels: Annotated[int, typer.Option(help="Channels of the images.")] = 3,
    size: Side = None,
    normalization: Normalization = None,
    state_dict: StateDict = None,
    changes: Changes = None,
    name: Annotated[
        str | None, typer.Option(help="Default: the file's name without its extension.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it is ready, or refused.")
    ] = False,
) -> None:
    """Upload a checkpoint (safetensors, or written by torch.save) as a teacher."""
    network = network_spec(architecture, width, normalization, changes or [])
    side = size or network.get("image_size", DEFAULT_SIDE)
    with Distill() as service:
        model = service.upload_model(
            file,
            name or file.stem,
            network,
            classes,
            channels=channels,
            height=side,
            width=side,
            state_dict=state_dict,
        )
        if wait:
            model = service.wait_model(model.id)
    echo_status(model)


def network_spec(
    architecture: str, width: int | None, normalization: str | None, changes: list[str]
) -> dict[str, Any]:
    """Return a network as a job's spec writes it, without settings that are not given."""
    network: dict[str, Any] = {"architecture": architecture}
    if width is not None:
        network["width"] = width
    if normalization is not None:
        network["normalization"] = normalization
    for change in changes:
        spec_file.apply_change(network, change)
    return network


@app.command()
def show(model: IdOrName, as_json: AsJson = False) -> None:
    """Show one model."""
    with Distill() as service:
        response = service.model(model)
    fields = {"network": response.description.get("network")}
    properties = {
        "parameters": response.parameters,
        "created by": response.source_job_id or response.import_job_id,
    }
    show_item(response, fields, properties, as_json=as_json)


@app.command()
def delete(model: IdOrName) -> None:
    """Delete a model that no job needs any longer. Its name can be used again."""
    with Distill() as service:
        echo_deleted(service.delete_model(model), "models")


@app.command()
def undelete(model_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Restore a deleted model."""
    with Distill() as service:
        echo_restored(service.restore_model(model_id))
