"""``distill methods`` and ``distill architectures``: what there is to choose from."""

from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import show_json, show_table

AsJson = Annotated[bool, typer.Option("--json", help="As JSON, with every setting's schema.")]


def methods(as_json: AsJson = False) -> None:
    """List the training methods."""
    with Distill() as service:
        found = service.methods()
    if as_json:
        show_json(found)
    else:
        show_table(
            ["method", "for jobs of kind", "what it is"],
            ([it.name, it.kind, it.summary.partition("\n")[0]] for it in found),
        )


def architectures(as_json: AsJson = False) -> None:
    """List the networks."""
    with Distill() as service:
        found = service.architectures()
    if as_json:
        show_json(found)
        return
    show_table(
        ["architecture", "name", "channels", "smallest image", "parameters (10 classes)"],
        (
            [
                it.name,
                it.title,
                " or ".join(map(str, it.channels)),
                f"{it.smallest_side}x{it.smallest_side}",
                f"{it.parameters_10_classes:,}" if it.parameters_10_classes else "by its width",
            ]
            for it in found
        ),
    )
