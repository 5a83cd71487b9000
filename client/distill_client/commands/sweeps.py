"""``distill sweep``: many jobs from one file, and the table of their results."""

from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from distill_client import spec_file
from distill_client.client import Distill
from distill_client.commands.estimates import await_memory, describe_estimates, show_warnings
from distill_client.display import (
    echo,
    echo_stderr,
    format_minute,
    show_fields,
    show_json,
    show_list,
    show_table,
)
from distill_client.errors import ClientError
from distill_client.measures import column_heading, format_mean
from distill_client.options import EXIT_DETACHED, AsJson, SweepId
from distill_client.responses import Sweep, SweepDryRun, SweepLine, SweepTable

app = typer.Typer(
    no_args_is_help=True,
    help="Many jobs that differ in methods, settings and seeds, and the table of their results.",
)


class TableFormat(StrEnum):
    TEXT = "text"
    MARKDOWN = "md"
    CSV = "csv"
    LATEX = "tex"
    JSON = "json"


class Checkpoint(StrEnum):
    BEST = "best"
    LAST = "last"


Network = Annotated[
    Checkpoint,
    typer.Option(
        help="The student of the epoch selected by held-out images, or of the last epoch."
    ),
]


@app.command()
def submit(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="A sweep in YAML or JSON."),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="For example base.teacher=ID or axes.seed=[0,1]; repeatable.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--watch", help="Watch the sweep until all its jobs have ended."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only validate every job, and list the jobs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a sweep."""
    spec = spec_file.load(file, changes or [])
    with Distill() as service:
        if dry_run:
            show_dry_run(await_memory(lambda: service.dry_run_sweep(spec)), as_json)
            return
        sweep = service.submit_sweep(spec)
        if follow:
            echo_stderr(f"{sweep.id} is submitted: {count_jobs(sweep)}.")
            watch_sweep(service, sweep.id, as_json)
        elif as_json:
            show_json(sweep)
        else:
            echo(f"{sweep.id}: {count_jobs(sweep)}.")


def show_dry_run(response: SweepDryRun, as_json: bool) -> None:
    if as_json:
        show_json(response)
        return
    echo(f"These {len(response.jobs)} jobs can run; they were not submitted. Together they take")
    echo(f"about {response.network_passes:,} forward passes of one image through one network.")
    estimate = response.estimate
    if estimate is not None:
        show_fields(describe_estimates(estimate.time, estimate.memory, estimate.queue))
    show_warnings(response.warnings)
    show_table(["job"], ([job.title] for job in response.jobs))


@app.command("list")
def list_sweeps(
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of sweeps.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List sweeps, newest first."""
    columns = ["id", "jobs", "created (UTC)", "name"]
    with Distill() as service:
        show_list(islice(service.sweeps(), limit), columns, row, as_json=as_json)


def row(sweep: Sweep) -> list[object]:
    return [sweep.id, count_jobs(sweep), format_minute(sweep.created_at), sweep.name]


@app.command()
def show(
    sweep_id: SweepId,
    format: Annotated[
        TableFormat, typer.Option("--format", help="Format of the table.")
    ] = TableFormat.TEXT,
    network: Network = Checkpoint.BEST,
) -> None:
    """Show the table of a sweep's results so far."""
    with Distill() as service:
        if format in (TableFormat.MARKDOWN, TableFormat.CSV, TableFormat.LATEX):
            print(service.table_text(sweep_id, format, network), end="")
        elif format is TableFormat.JSON:
            show_json(service.table(sweep_id, network))
        else:
            sweep = service.sweep(sweep_id)
            echo(f"{sweep.name or sweep.id}: {count_jobs(sweep)}.")
            show_sweep_table(service.table(sweep_id, network))


@app.command()
def plot(
    sweep_id: SweepId,
    x: Annotated[
        str,
        typer.Option(
            help="A setting, such as method.beta, for curves; "
            "or a measure, for a scatter plot with a fitted line."
        ),
    ],
    y: Annotated[str, typer.Option(help="Measures, such as clean,autoattack.")],
    to: Annotated[Path, typer.Option(dir_okay=False, writable=True, help="An .svg or .png file.")],
    network: Network = Checkpoint.BEST,
) -> None:
    """Plot a sweep's results. Needs the extra `plots`."""
    file_format = to.suffix.removeprefix(".").lower()
    if file_format not in ("svg", "png"):
        raise ClientError(f"A figure is written as .svg or .png, not as {to.name!r}.")
    # Imported here because it imports matplotlib, which is optional and takes a second.
    try:
        from distill_client.plots.sweep_plot import plot_sweep
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ClientError(
            "Plots need matplotlib, which is not installed: "
            "run `pip install 'distill-client[plots]'`."
        ) from error

    with Distill() as service:
        to.write_bytes(plot_sweep(service, sweep_id, x, y.split(","), network)[file_format])
    echo(str(to))


@app.command()
def watch(sweep_id: SweepId, as_json: AsJson = False) -> None:
    """Watch a sweep until all its jobs have ended, then show the table.

    Ctrl-C stops the watching, not the jobs.
    """
    with Distill() as service:
        watch_sweep(service, sweep_id, as_json)


@app.command()
def cancel(sweep_id: SweepId) -> None:
    """Cancel all jobs of a sweep that have not ended."""
    with Distill() as service:
        sweep = service.cancel_sweep(sweep_id)
    echo(f"{sweep.id}: {count_jobs(sweep)}.")


def watch_sweep(service: Distill, sweep_id: str, as_json: bool) -> None:
    """Print each change, then the table. Exit with 1 unless every job has succeeded."""
    last_counts = ""

    def update(sweep: Sweep) -> None:
        nonlocal last_counts
        counts = count_jobs(sweep)
        if counts != last_counts:
            echo_stderr(f"{sweep.id}: {counts}")
        last_counts = counts

    try:
        sweep = service.wait_sweep(sweep_id, update)
    except KeyboardInterrupt:
        echo_stderr(
            f"No longer watching; {sweep_id} goes on. "
            f"`distill sweep watch {sweep_id}` watches it again."
        )
        raise typer.Exit(EXIT_DETACHED) from None
    table = service.table(sweep_id)
    if as_json:
        show_json(table)
    else:
        show_sweep_table(table)
    if set(sweep.jobs) != {"succeeded"}:
        raise typer.Exit(1)


def count_jobs(sweep: Sweep) -> str:
    """Return the number of jobs by status, such as ``4 queued, 2 running, 3 succeeded``."""
    return ", ".join(f"{count} {status}" for status, count in sorted(sweep.jobs.items()))


def show_sweep_table(table: SweepTable) -> None:
    """Print mean ± standard deviation over the seeds; a star marks the best line."""
    headings = ["", "", "jobs", *map(column_heading, table.measures)]
    show_table(headings, (table_row(line, table.measures) for line in table.lines))
    if any(line.best for line in table.lines):
        echo(
            "* the highest robust accuracy on held-out training images, "
            "of those under one threat model"
        )


def table_row(line: SweepLine, measures: list[str]) -> list[object]:
    means = [
        format_mean(measure, line.cells[measure].mean, line.cells[measure].sd)
        if measure in line.cells
        else ""
        for measure in measures
    ]
    return ["*" if line.best else "", line.name, f"{line.done}/{line.jobs}", *means]
