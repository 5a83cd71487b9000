"""``distill workers``: the processes that carry out the jobs."""

import typer

from distill_client.client import Distill
from distill_client.display import echo, format_minute, show_table
from distill_client.responses import Worker

app = typer.Typer(help="The workers; needs a key with the scope operator.")

COLUMNS = ["name", "version", "protocol", "jobs", "state", "since (UTC)", "last seen"]


@app.callback(invoke_without_command=True)
def list_workers(context: typer.Context) -> None:
    """List the workers."""
    if context.invoked_subcommand is not None:
        return
    with Distill() as service:
        show_table(COLUMNS, map(row, service.workers()))


def row(worker: Worker) -> list[object]:
    return [
        worker.name,
        worker.version,
        worker.protocol,
        f"{worker.running}/{worker.slots}",
        describe_state(worker),
        format_minute(worker.started_at),
        format_minute(worker.seen_at),
    ]


def describe_state(worker: Worker) -> str:
    if not worker.alive:
        return "lost"
    if worker.draining:
        return "draining"
    return worker.trouble or "ready"


@app.command()
def drain(name: str) -> None:
    """Let a worker finish its jobs and claim no more."""
    with Distill() as service:
        worker = service.drain(name)
    echo(f"{worker.name} is draining; it runs {worker.running} of at most {worker.slots} jobs.")


@app.command()
def undrain(name: str) -> None:
    """Let a worker claim jobs again."""
    with Distill() as service:
        worker = service.undrain(name)
    echo(f"{worker.name} claims jobs again.")
