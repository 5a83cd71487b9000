"""``distill workers``: the processes that carry out the jobs."""

import typer

from distill_client.client import Distill
from distill_client.display import echo, format_bytes, format_minute, show_table
from distill_client.responses import Gpu, Hardware, Worker

app = typer.Typer(help="The workers; needs a key with the scope operator.")

COLUMNS = [
    "name",
    "version",
    "protocol",
    "jobs",
    "state",
    "device",
    "use",
    "device memory",
    "host load",
    "scratch free",
    "since (UTC)",
    "last seen",
]
NOT_REPORTED = "not reported"


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
        *describe_hardware(worker.hardware),
        format_minute(worker.started_at),
        format_minute(worker.seen_at),
    ]


def describe_state(worker: Worker) -> str:
    if not worker.alive:
        return "lost"
    if worker.draining:
        return "draining"
    return worker.trouble or "ready"


def describe_hardware(hardware: Hardware | None) -> list[str]:
    """Return device, its use, its memory, the host's load and the free space for scratch."""
    if hardware is None:
        return [NOT_REPORTED, "", "", "", ""]
    load = ""
    if hardware.load is not None:
        load = f"{hardware.load:.1f} on {hardware.cores or '?'} cores"
    scratch = format_bytes(hardware.scratch_free)
    device = hardware.device.name or f"{hardware.device.kind}, {NOT_REPORTED}"
    if hardware.device.kind == "cpu":
        memory = describe_use(hardware.memory_used, hardware.memory_total)
        return [device, "", memory, load, scratch]
    gpus = hardware.gpus or []
    if len(gpus) > 1:
        device = f"{len(gpus)} x {device}"
    use = ", ".join(filter(None, map(describe_gpu, gpus))) or NOT_REPORTED
    memory = ", ".join(describe_use(gpu.memory_used, gpu.memory_total) for gpu in gpus)
    return [device, use, memory or NOT_REPORTED, load, scratch]


def describe_gpu(gpu: Gpu) -> str:
    """Return utilization and temperature: 87 % 64 °C."""
    parts = []
    if gpu.utilization is not None:
        parts.append(f"{100 * gpu.utilization:.0f} %")
    if gpu.temperature is not None:
        parts.append(f"{gpu.temperature} °C")
    return " ".join(parts)


def describe_use(used: int | None, total: int | None) -> str:
    if total is None:
        return NOT_REPORTED
    return f"{format_bytes(used) or '?'} of {format_bytes(total)}"


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
