"""A job's life: its states and the moves between them. Code and documentation share this one table."""

from typing import Literal, get_args

Status = Literal["queued", "running", "cancelling", "cancelled", "succeeded", "failed"]
Phase = Literal["preparing", "training", "evaluating", "exporting"]

STATUSES: tuple[Status, ...] = get_args(Status)
TERMINAL: frozenset[Status] = frozenset({"cancelled", "succeeded", "failed"})
HELD: frozenset[Status] = frozenset({"running", "cancelling"})
"""A worker holds a lease on the job."""

MOVES: dict[tuple[Status, Status], str] = {
    ("queued", "running"): "a worker claimed it",
    ("queued", "cancelled"): "cancelled before it began",
    ("running", "queued"): "its worker was lost, was shut down, or failed through no fault of the job",
    ("running", "cancelling"): "a user asked to cancel it",
    ("running", "succeeded"): "done",
    ("running", "failed"): "it cannot be done, or was tried too often",
    ("cancelling", "cancelled"): "its trainer has ended, or its worker was lost",
    ("cancelling", "succeeded"): "it was done before the request to cancel reached it",
}


def may_move(old: Status, new: Status) -> bool:
    return (old, new) in MOVES
