"""What ``distill models`` and ``distill datasets`` have in common."""

from collections.abc import Iterator, Mapping
from typing import Any

from distill_client.display import echo, format_minute, format_shape, show_fields, show_json
from distill_client.responses import Dataset, Model

MAX_REPORT_ENTRIES = 20
"""Entries of a list in an importer's report that are shown; --json has all of them."""


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
            "SHA-256": item.sha256,
            "created (UTC)": format_minute(item.created_at),
            "metadata": item.metadata or None,
            "notes": item.notes,
        }
    )
    for line in report_lines(item.report or {}):
        echo(line)


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield an importer's report as lines: what is empty is left out, long lists are cut."""
    entries = {name.replace("_", " "): value for name, value in report.items() if value}
    if entries:
        yield "importer's report:"
    for name, value in entries.items():
        items = [str(value)]
        if isinstance(value, Mapping):
            items = [f"{key}: {item}" for key, item in value.items()]
        elif isinstance(value, list):
            items = list(map(str, value))
        if all(item.endswith(".") for item in items):  # sentences
            yield from (f"  {name}: {item}" for item in items)
        else:
            yield f"  {name}: {_join(items)}"


def _join(items: list[str]) -> str:
    """Return the first items, and how many there are."""
    text = ", ".join(items[:MAX_REPORT_ENTRIES])
    more = len(items) - MAX_REPORT_ENTRIES
    return f"{text} and {more} more, {len(items)} in all" if more > 0 else text


def echo_status(item: Model | Dataset) -> None:
    """Print the status, and what its import says a person should check."""
    echo(f"{item.id} {item.name} is {item.status}.")
    for remark in (item.report or {}).get("remarks", []):
        echo(remark)


def echo_deleted(item: Model | Dataset, command: str) -> None:
    echo(
        f"{item.id} {item.name} is deleted; "
        f"for some days `distill {command} undelete {item.id}` restores it."
    )


def echo_restored(item: Model | Dataset) -> None:
    echo(f"{item.id} {item.name} is restored.")
