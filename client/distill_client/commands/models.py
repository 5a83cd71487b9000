"""``distill models``: uploaded teachers, and students of jobs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from distill_client import spec_file
from distill_client.client import Distill
from distill_client.commands import edits
from distill_client.commands.uploaded_items import (
    echo_deleted,
    echo_restored,
    echo_status,
    show_item,
)
from distill_client.display import (
    echo,
    format_minute,
    format_shape,
    show_json,
    show_list,
    show_table,
)
from distill_client.measures import describe, format_value
from distill_client.options import (
    AsJson,
    Deleted,
    IdOrName,
    Search,
    Sort,
    Where,
    parse_bounds,
    result_key,
)
from distill_client.responses import LineageNode, Model

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
    "version",
    "aliases",
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
UploadName = Annotated[
    str | None, typer.Option(help="Default: the file's name without its extension.")
]
UploadSeries = Annotated[
    str | None,
    typer.Option(help="Upload it as the next version of this series; then it needs no name."),
]
Side = Annotated[
    int | None,
    typer.Option(
        help="Height and width of the images; default: the architecture's image_size, or 32."
    ),
]


@app.command("list")
def list_models(
    series: Annotated[str | None, typer.Option(help="Only the versions of this series.")] = None,
    alias: Annotated[str | None, typer.Option(help="Only models that have this alias.")] = None,
    search: Search = None,
    sort: Sort = None,
    where: Where = None,
    deleted: Deleted = False,
    as_json: AsJson = False,
) -> None:
    """List the models, newest first, or sorted by a result."""
    key = result_key(sort)
    columns = COLUMNS if key is None else [*COLUMNS, describe(key).heading]
    with Distill() as service:
        models = service.models(
            series=series,
            alias=alias,
            q=search,
            sort=sort,
            results=parse_bounds(where),
            deleted=deleted,
        )
        show_list(
            models, columns, lambda model: [*row(model), *sorted_value(model, key)], as_json=as_json
        )


def sorted_value(model: Model, key: str | None) -> list[object]:
    """Return the cell of the result that the models are sorted by; none without one."""
    if key is None:
        return []
    result = model.results.get(key)
    return [None if result is None else format_value(key, result.value)]


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
        format_version(model),
        ", ".join(model.aliases) or None,
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
    name: UploadName = None,
    series: UploadSeries = None,
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
            name or (None if series else file.stem),
            network,
            classes,
            series=series,
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
    fields = {
        "version": format_version(response),
        "aliases": ", ".join(response.aliases) or None,
        "network": response.description.get("network"),
    }
    properties = {
        "parameters": response.parameters,
        "created by": response.source_job_id or response.import_job_id,
    }
    show_item(response, fields, properties, as_json=as_json)


@app.command()
def edit(
    model: IdOrName,
    name: edits.Name = None,
    notes: edits.Notes = None,
    notes_file: edits.NotesFile = None,
    metadata: edits.Metadata = None,
    remove: edits.Remove = None,
) -> None:
    """Change a model's name, notes or metadata."""
    changes = edits.merge_patch(name, notes, notes_file, metadata, remove)
    with Distill() as service:
        edits.echo_edited(service.update_model(model, changes))


@app.command()
def alias(
    series: Annotated[str, typer.Argument(help="A series, or one of its models.")],
    alias: Annotated[str, typer.Argument(help="Such as champion or candidate.")],
    model: Annotated[
        str | None, typer.Argument(help="The version that it means from now on.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the alias.")] = False,
) -> None:
    """Let an alias of a series mean one of its versions: SERIES@ALIAS then names that model."""
    if remove == (model is not None):
        raise typer.BadParameter("Either a MODEL or --remove is required.")
    with Distill() as service:
        if model is None:
            former = service.remove_alias(series, alias)
            echo(f"{former.series}@{alias} is removed; it meant {format_version(former)}.")
        else:
            current = service.set_alias(series, alias, model)
            echo(f"{current.series}@{alias} means {format_version(current)} {current.id}.")


@app.command()
def lineage(
    model: IdOrName,
    generations: Annotated[
        int | None, typer.Option(min=1, help="Jobs to follow upward and downward.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a model was made from, and what was made from it."""
    with Distill() as service:
        response = service.lineage(model, generations=generations)
    if as_json:
        show_json(response)
        return
    nodes = {node.id: node for node in response.nodes}
    rows = (
        [describe_node(nodes[edge.source]), edge.role, describe_node(nodes[edge.target])]
        for edge in response.edges
    )
    if response.edges:
        show_table(["from", "as", "into"], rows)
    else:
        echo(f"{describe_node(nodes[response.root])}: no job has trained or used it.")
    if response.cut:
        echo(f"Not all of it is shown: there are more {' and '.join(response.cut)}.")


def describe_node(node: LineageNode) -> str:
    """Return a node in one line: mdl_1 teacher (resnet18), job_1 student (starship, failed)."""
    kind = node.method or node.kind if node.type == "job" else node.architecture
    properties = [
        kind,
        node.status if node.status not in ("ready", "succeeded") else None,
        "deleted" if node.deleted else None,
    ]
    text = ", ".join(text for text in properties if text)
    return " ".join(part for part in (node.id, node.name, text and f"({text})") if part)


def format_version(model: Model) -> str | None:
    """Return the model as a version of its series: digits-starship@3; None before it is ready."""
    return f"{model.series}@{model.series_version}" if model.series_version else None


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
