"""Options and arguments that several commands share."""

import re
from typing import Annotated

import typer

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of a job.")]
SweepId = Annotated[str, typer.Argument(metavar="ID", help="Id of a sweep.")]
IdOrName = Annotated[str, typer.Argument(help="Id or name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Deleted = Annotated[
    bool, typer.Option("--deleted", help="Only what was deleted and can still be restored.")
]
Search = Annotated[
    str | None,
    typer.Option("--search", help="Words, each the beginning of one in id, name or metadata."),
]
Sort = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="created_at, for jobs also finished_at, or the key of a result such as "
        "autoattack@linf:8/255; with - before it, the greatest first: --sort=-clean.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY>=VALUE",
        help="Only with such a result, for example 'autoattack@linf:8/255>=0.5'; repeatable.",
    ),
]

EXIT_DETACHED = 130
"""Ctrl-C has ended the watching, not what was watched."""

_BOUND = re.compile(r"(?P<key>[^<>]+?)\s*(?P<bound>[<>]=?.+)")


def parse_bounds(texts: list[str] | None) -> dict[str, str]:
    """Return the bounds on each key; those of one key are joined with a comma.

    Raises typer.BadParameter.
    """
    bounds: dict[str, list[str]] = {}
    for text in texts or []:
        match = _BOUND.fullmatch(text.strip())
        if match is None:
            raise typer.BadParameter(f"{text!r} is no bound: write for example clean>=0.9.")
        bounds.setdefault(match["key"], []).append(match["bound"])
    return {key: ",".join(parts) for key, parts in bounds.items()}


def result_key(sort: str | None) -> str | None:
    """Return the key of the result that a list is sorted by; None if it is sorted by time."""
    if sort is None or sort.removeprefix("-") in ("created_at", "finished_at"):
        return None
    key = sort.removeprefix("-")
    network, colon, rest = key.partition(":")
    return rest if colon and network in ("best", "last", "model") else key
