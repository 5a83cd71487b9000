"""``distill methods`` and ``distill architectures``: what a job can name."""

from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import show_list
from distill_client.responses import Architecture, Method

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
