"""``distill sweep``: many jobs from one file, and their table."""

from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from core.reportspec.measures import heading
from core.reportspec.table import Table
from distill_client import spec_file
from distill_client.client import Distill
from distill_client.commands.jobs import DETACHED
from distill_client.display import minute, say, show_json, show_table, tell
from distill_client.errors import ClientError
from distill_client.responses import Sweep

app = typer.Typer(
    no_args_is_help=True,
    help="Many jobs that differ in methods, settings and seeds, and their table.",
)
SweepId = Annotated[str, typer.Argument(metavar="ID", help="Id of a sweep.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


class Form(StrEnum):
    TEXT = "text"
    MARKDOWN = "md"
    CSV = "csv"
    JSON = "json"


class Network(StrEnum):
    BEST = "best"
    LAST = "last"


@app.command()
def submit(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="A sweep in YAML or JSON."),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="E.g. base.teacher=ID or axes.seed=[0,1]"),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--watch", help="Watch it until all its jobs have ended, then show the table."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check every job, and say what they are.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a sweep."""
    spec = spec_file.load(file, changes or [])
    with Distill() as service:
        if dry_run:
            found = service.dry_run_sweep(spec)
            if as_json:
                show_json(found)
            else:
                say(
                    f"These {len(found.jobs)} jobs can be run; nothing was submitted. In all about {found.network_passes:,}"
                )
                say("forward passes of one image through one network.")
                show_table(["job"], ([job.title] for job in found.jobs))
            return
        sweep = service.submit_sweep(spec)
        if follow:
            tell(f"{sweep.id} is submitted: {standing(sweep)}.")
            watch_to_end(service, sweep.id, as_json)
        elif as_json:
            show_json(sweep)
        else:
            say(f"{sweep.id}: {standing(sweep)}.")


@app.command("list")
def list_sweeps(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List sweeps, newest first."""
    with Distill() as service:
        found = list(islice(service.sweeps(), limit))
    if as_json:
        show_json(found)
    else:
        show_table(
            ["id", "jobs", "made (UTC)", "name"],
            ([it.id, standing(it), minute(it.created_at), it.name] for it in found),
        )


@app.command()
def show(
    sweep_id: SweepId,
    form: Annotated[Form, typer.Option("--format", help="How the table is printed.")] = Form.TEXT,
    network: Annotated[
        Network, typer.Option(help="The epoch chosen by held-out images, or the last.")
    ] = Network.BEST,
) -> None:
    """Show a sweep's table, as far as its jobs are done."""
    with Distill() as service:
        if form in (Form.MARKDOWN, Form.CSV):
            print(service.table_text(sweep_id, form, network), end="")
        elif form is Form.JSON:
            show_json(service.table(sweep_id, network))
        else:
            sweep = service.sweep(sweep_id)
            say(f"{sweep.name or sweep.id}: {standing(sweep)}.")
            show_lines(service.table(sweep_id, network))


@app.command()
def plot(
    sweep_id: SweepId,
    x: Annotated[
        str,
        typer.Option(
            help="A setting, such as method.beta, for curves; or a measure, for a scatter and its line."
        ),
    ],
    y: Annotated[str, typer.Option(help="One measure, or several, such as clean,autoattack.")],
    to: Annotated[
        Path, typer.Option(dir_okay=False, writable=True, help="A file that ends in .svg or .png.")
    ],
    network: Annotated[
        Network, typer.Option(help="The epoch chosen by held-out images, or the last.")
    ] = Network.BEST,
) -> None:
    """Draw a sweep's results."""
    form = to.suffix.removeprefix(".").lower()
    if form not in ("svg", "png"):
        raise ClientError(f"A figure is an .svg or a .png, not {to.name!r}.")
    from distill_client.plots.sweep_plot import (
        plotted,  # matplotlib takes its time: no other command waits for it
    )

    with Distill() as service:
        to.write_bytes(plotted(service, sweep_id, x, y.split(","), network)[form])
    say(str(to))


@app.command()
def watch(sweep_id: SweepId, as_json: AsJson = False) -> None:
    """Watch a sweep until all its jobs have ended. Ctrl-C stops watching, not the jobs."""
    with Distill() as service:
        watch_to_end(service, sweep_id, as_json)


@app.command()
def cancel(sweep_id: SweepId) -> None:
    """Cancel all jobs of a sweep that have not ended."""
    with Distill() as service:
        sweep = service.cancel_sweep(sweep_id)
    say(f"{sweep.id}: {standing(sweep)}.")


def watch_to_end(service: Distill, sweep_id: str, as_json: bool) -> None:
    seen = ""

    def update(sweep: Sweep) -> None:
        nonlocal seen
        now = standing(sweep)
        if now != seen:
            tell(f"{sweep.id}: {now}")
        seen = now

    try:
        sweep = service.wait_sweep(sweep_id, update)
    except KeyboardInterrupt:
        tell(
            f"No longer watching; {sweep_id} goes on. `distill sweep watch {sweep_id}` looks again."
        )
        raise typer.Exit(DETACHED) from None
    table = service.table(sweep_id)
    if as_json:
        show_json(table)
    else:
        show_lines(table)
    if set(sweep.jobs) != {"succeeded"}:
        raise typer.Exit(1)


def standing(sweep: Sweep) -> str:
    """Such as ``4 queued, 2 running, 3 succeeded``."""
    return ", ".join(f"{count} {status}" for status, count in sorted(sweep.jobs.items()))


def show_lines(table: Table) -> None:
    """Accuracies in %, mean ± standard deviation over the seeds; a star for the best by held-out images."""
    rows = (
        [
            "*" if line.best else "",
            line.name,
            f"{line.done}/{line.jobs}",
            *(line.text(name) for name in table.measures),
        ]
        for line in table.lines
    )
    show_table(["", "", "jobs", *map(heading, table.measures)], rows)
    if any(line.best for line in table.lines):
        say("* the highest robust accuracy on held-out training images")
