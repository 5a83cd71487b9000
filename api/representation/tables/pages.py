"""A page of any list as CSV: a row for each item, a column for each field."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api.representation.tables.text import Cell, to_csv


def page_csv(items: Sequence[Mapping[str, Any]]) -> str:
    """Return the items of a page, as JSON has them, as a table.

    Fields of an object are columns of their own, such as results.best.clean; a list is JSON.
    """
    rows = [dict(_flatten(item)) for item in items]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return to_csv(columns, [[row.get(column) for column in columns] for row in rows])


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Cell]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flatten(item, f"{prefix}{name}.")
        elif isinstance(item, list):
            yield f"{prefix}{name}", json.dumps(item, ensure_ascii=False)
        else:
            yield f"{prefix}{name}", item
