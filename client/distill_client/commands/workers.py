"""``distill workers``: who carries out the jobs."""

import typer

from distill_client.client import Distill
from distill_client.display import minute, say, show_table
from distill_client.responses import Worker

app = typer.Typer(help="The workers; needs a key with the scope operator.")


@app.callback(invoke_without_command=True)
def list_workers(context: typer.Context) -> None:
    """List the workers."""
    if context.invoked_subcommand is not None:
        return
    with Distill() as service:
        found = list(service.workers())
    show_table(
        ["name", "version", "protocol", "jobs", "state", "since (UTC)", "seen"],
        (
            [
                it.name,
                it.version,
                it.protocol,
                f"{it.running}/{it.slots}",
                state(it),
                minute(it.started_at),
                minute(it.seen_at),
            ]
            for it in found
        ),
    )


@app.command()
def drain(name: str) -> None:
    """Let a worker finish the jobs that it has and claim no more."""
    with Distill() as service:
        worker = service.drain(name)
    say(f"{worker.name} drains; it has {worker.running} of at most {worker.slots} jobs.")


@app.command()
def undrain(name: str) -> None:
    """Let a worker claim jobs again."""
    with Distill() as service:
        worker = service.undrain(name)
    say(f"{worker.name} claims jobs again.")


def state(worker: Worker) -> str:
    if not worker.alive:
        return "lost"
    return "draining" if worker.draining else worker.trouble or "ready"
