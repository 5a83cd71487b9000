"""``distill methods``, ``architectures``, ``examples``, ``schema``: what a job can be made of."""

import json
from typing import Annotated, Literal

import typer

from distill_client.client import Distill
from distill_client.display import echo, show_list
from distill_client.errors import ClientError
from distill_client.responses import Architecture, Example, Method

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, with the JSON Schema of all settings.")
]


def methods(as_json: AsJson = False) -> None:
    """List the training methods."""
    columns = ["method", "for jobs of kind", "what it is"]
    with Distill() as service:
        show_list(service.methods(), columns, method_row, as_json=as_json)


def method_row(method: Method) -> list[object]:
    return [method.name, method.kind, method.summary.partition("\n")[0]]


def architectures(as_json: AsJson = False) -> None:
    """List the network architectures."""
    columns = ["architecture", "name", "channels", "smallest image", "parameters (10 classes)"]
    with Distill() as service:
        show_list(service.architectures(), columns, architecture_row, as_json=as_json)


def architecture_row(architecture: Architecture) -> list[object]:
    parameters = architecture.parameters_10_classes
    return [
        architecture.name,
        architecture.title,
        " or ".join(map(str, architecture.channels)),
        f"{architecture.smallest_side}x{architecture.smallest_side}",
        f"{parameters:,}" if parameters else "depends on the width",
    ]


def examples(
    name: Annotated[str | None, typer.Argument(help="Print this one as YAML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List jobs and sweeps to start from, or print one of them."""
    with Distill() as service:
        rows = service.examples()
    if name is None:
        columns = ["example", "submitted as", "what it is"]
        show_list(rows, columns, example_row, as_json=as_json)
        return
    example = next((row for row in rows if row.name == name), None)
    if example is None:
        raise ClientError(f"There is no example {name!r}; `distill examples` lists them.")
    echo(json.dumps(example.spec, indent=2) if as_json else example.text.rstrip("\n"))


def example_row(example: Example) -> list[object]:
    return [example.name, example.endpoint.removesuffix("s"), example.description]


def schema(
    name: Annotated[Literal["job", "sweep", "report"], typer.Argument(help="Of what.")],
) -> None:
    """Print a JSON Schema: by that of a job, editors complete and check YAML files."""
    with Distill() as service:
        echo(json.dumps(service.schema(name), indent=2))
