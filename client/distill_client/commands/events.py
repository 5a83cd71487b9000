"""``distill events``: what changes in the project."""

import sys
from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import echo, echo_stderr
from distill_client.options import EXIT_DETACHED
from distill_client.responses import ProjectEvent
from distill_client.streams.project_events import Reset


def events(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what happens from now on, until Ctrl-C.")
    ] = False,
    types: Annotated[
        str | None, typer.Option(help="Only these: job,sweep,model,dataset,worker.")
    ] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Only changes with a greater number.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each.")] = False,
) -> None:
    """Print what has changed in the project within the last day, or as it happens."""
    names = types.split(",") if types else ()
    with Distill() as service:
        try:
            for item in service.project_events(after=after, types=names, follow=follow):
                if isinstance(item, Reset):
                    echo_stderr("Changes are missing: the service keeps them for a day only.")
                else:
                    echo(item.model_dump_json() if as_json else describe(item))
                    sys.stdout.flush()  # a line in a pipe at once
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_DETACHED) from None


def describe(event: ProjectEvent) -> str:
    """Return a change in one line."""
    state = event.data
    progress = state.progress
    parts = [event.at[11:19], f"{event.seq:>6}", f"{event.type:<7}", event.id, event.change]
    parts += [state.phase or state.status or ""]
    if progress is not None and progress.step is not None and progress.of:
        parts.append(f"{progress.step}/{progress.of}")
    if state.name and state.name != event.id:
        parts.append(state.name)
    return "  ".join(part for part in parts if part)
