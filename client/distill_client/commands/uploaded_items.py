"""What ``distill models`` and ``distill datasets`` have in common."""

from collections.abc import Mapping

from distill_client.display import echo, format_minute, format_shape, show_fields, show_json
from distill_client.responses import Dataset, Model


def show_item(
    item: Model | Dataset,
    fields: Mapping[str, object],
    properties: Mapping[str, object],
    *,
    as_json: bool,
) -> None:
    """Print a model or a data set.

    ``fields`` stand before the classes and images that both have, ``properties`` behind them.
    """
    if as_json:
        show_json(item)
        return
    description = item.description or {}
    show_fields(
        {
            "id": item.id,
            "name": item.name,
            "status": item.status,
            "problem": item.problem and item.problem.get("detail"),
            **fields,
            "classes": description.get("classes"),
            "images": format_shape(description),
            **properties,
            "importer's report": item.report or None,
            "SHA-256": item.sha256,
            "created (UTC)": format_minute(item.created_at),
        }
    )


def echo_status(item: Model | Dataset) -> None:
    echo(f"{item.id} {item.name} is {item.status}.")


def echo_deleted(item: Model | Dataset, command: str) -> None:
    echo(
        f"{item.id} {item.name} is deleted; "
        f"for some days `distill {command} undelete {item.id}` restores it."
    )


def echo_restored(item: Model | Dataset) -> None:
    echo(f"{item.id} {item.name} is restored.")
