"""What ``distill edit``, ``distill models edit`` and ``distill datasets edit`` have in common."""

from pathlib import Path
from typing import Annotated, Any

import typer

from distill_client.display import echo
from distill_client.responses import Dataset, Job, Model
from distill_client.spec_file import read_text

Name = Annotated[str | None, typer.Option(help="A new name.")]
Notes = Annotated[str | None, typer.Option(help='New notes, in Markdown; "" removes them.')]
NotesFile = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, readable=True, help="A file with the new notes."),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Set an entry of the metadata; repeatable."),
]
Remove = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY", help="Remove an entry of the metadata; repeatable."),
]


def merge_patch(
    name: str | None,
    notes: str | None,
    notes_file: Path | None,
    metadata: list[str] | None,
    remove: list[str] | None,
) -> dict[str, Any]:
    """Return the options as a JSON merge patch. Raises BadParameter where there is none."""
    if notes is not None and notes_file is not None:
        raise typer.BadParameter("--notes and --notes-file exclude each other.")
    if notes_file is not None:
        notes = read_text(notes_file)
    patch: dict[str, Any] = {}
    if name is not None:
        patch["name"] = name
    if notes is not None:
        patch["notes"] = notes or None
    entries: dict[str, str | None] = dict(map(_entry, metadata or []))
    entries |= dict.fromkeys(remove or [])
    if entries:
        patch["metadata"] = entries
    if not patch:
        raise typer.BadParameter(
            "Nothing to change: give --name, --notes, --notes-file, --metadata or --remove."
        )
    return patch


def _entry(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{text!r} is not an entry such as team=vision.")
    return key, value


def echo_edited(item: Job | Model | Dataset) -> None:
    """Print what the item is called now, and its metadata."""
    entries = ", ".join(f"{key}={value}" for key, value in sorted(item.metadata.items()))
    label = f"{item.id} {item.name or ''}".rstrip()
    echo(f"{label} is changed; its metadata: {entries or 'none'}.")
