"""When a job would start that is submitted now."""

from collections.abc import Sequence

from api.representation.submission.dry_run import QueueEstimate
from core.store.workers import WorkerState


def estimate_queue(queued: int, workers: Sequence[WorkerState]) -> QueueEstimate:
    """``queued``: number of jobs in line now, of all projects."""
    claiming = [
        worker
        for worker in workers
        if worker.alive and not worker.row.draining and worker.row.trouble is None
    ]
    free = sum(max(0, worker.row.slots - worker.running) for worker in claiming)
    position = queued + 1
    count = f"{len(claiming)} worker{'' if len(claiming) == 1 else 's'}"
    if not claiming:
        sentence = f"It would be {ordinal(position)} in line; no worker claims jobs at present."
    elif position <= free:
        sentence = f"It would start at once, with {count}."
    else:
        sentence = f"It would start {ordinal(position)} in line, with {count}."
    return QueueEstimate(position=position, workers=len(claiming), sentence=sentence)


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, … 11th, …"""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}th" if number % 100 in {11, 12, 13} else f"{number}{suffix}"
