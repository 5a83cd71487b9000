"""The estimates of a dry run, of a job or of a sweep: time, memory and waiting."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from distill_client.display import echo, format_bytes
from distill_client.responses import (
    DryRun,
    MemoryEstimate,
    QueueEstimate,
    SweepDryRun,
    TimeEstimate,
)

POLL_SECONDS = 1.0
MAX_WAIT_SECONDS = 30.0
DryRunT = TypeVar("DryRunT", DryRun, SweepDryRun)


def await_memory(dry_run: Callable[[], DryRunT]) -> DryRunT:
    """Return a dry run, repeated for some seconds while a worker works out the memory."""
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        response = dry_run()
        estimate = response.estimate
        if estimate is None or estimate.memory is None or estimate.memory.status != "pending":
            return response
        has_worker = estimate.queue is not None and estimate.queue.workers > 0
        if not has_worker or time.monotonic() > deadline:
            return response
        time.sleep(POLL_SECONDS)


def describe_estimates(
    times: Iterable[TimeEstimate], memory: MemoryEstimate | None, queue: QueueEstimate | None
) -> dict[str, object]:
    """Return names and values of what is estimated; services of earlier versions send nothing."""
    fields: dict[str, object] = {}
    for number, estimate in enumerate(times):
        fields["time" if number == 0 else f"time {number + 1}"] = estimate.sentence
    if memory is not None:
        fields["memory"] = memory.sentence
        if memory.parts:
            parts = sorted(memory.parts.items(), key=lambda part: -part[1])
            fields["of that"] = ", ".join(
                f"{name} {format_bytes(size)}" for name, size in parts if size
            )
    if queue is not None:
        fields["queue"] = queue.sentence
    return fields


def show_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        echo(f"warning: {warning}")
