"""A job's life: its states, the moves between them, and what a user may ask for. Code and documentation share these tables."""

from typing import Literal, get_args

PROTOCOL = 3
"""What API and workers must agree about: spec, states, tables, job folder. Raised when an older worker could not carry out
what a newer API takes in. Version 1 is everything up to schema 0003."""

Status = Literal[
    "queued", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"
]
Phase = Literal["preparing", "training", "evaluating", "exporting"]

STATUSES: tuple[Status, ...] = get_args(Status)
TERMINAL: frozenset[Status] = frozenset({"cancelled", "succeeded", "failed"})
HELD: frozenset[Status] = frozenset({"running", "pausing", "cancelling"})
"""A worker holds a lease on the job."""

MOVES: dict[tuple[Status, Status], str] = {
    ("queued", "running"): "a worker claimed it",
    ("queued", "paused"): "a user paused it before it began",
    ("queued", "cancelled"): "a user cancelled it before it began",
    (
        "running",
        "queued",
    ): "its worker was lost, was shut down, or failed through no fault of the job",
    ("running", "pausing"): "a user asked to pause it",
    ("running", "paused"): "there is no room to store what it makes",
    ("running", "cancelling"): "a user asked to cancel it",
    ("running", "succeeded"): "done",
    ("running", "failed"): "it cannot be done, or was tried too often",
    ("pausing", "paused"): "its trainer has ended behind a checkpoint, or its worker was lost",
    ("pausing", "cancelling"): "a user asked to cancel it",
    ("pausing", "succeeded"): "it was done before the request to pause reached it",
    ("pausing", "failed"): "it failed before the request to pause reached it",
    ("paused", "queued"): "a user resumed it, or there is room again",
    ("paused", "cancelled"): "a user cancelled it while it was paused",
    ("cancelling", "cancelled"): "its trainer has ended, or its worker was lost",
    ("cancelling", "succeeded"): "it was done before the request to cancel reached it",
    ("failed", "queued"): "a user asked to try it again",
    ("cancelled", "queued"): "a user asked to take it up again",
}


def may_move(old: Status, new: Status) -> bool:
    return (old, new) in MOVES


Action = Literal["cancel", "pause", "resume", "retry"]

ACTIONS: dict[Action, dict[Status, Status | None]] = {
    "cancel": {
        "queued": "cancelled",
        "paused": "cancelled",
        "running": "cancelling",
        "pausing": "cancelling",
        "cancelling": None,
        "cancelled": None,
    },
    "pause": {"queued": "paused", "running": "pausing", "pausing": None, "paused": None},
    "resume": {"paused": "queued", "queued": None, "running": None},
    "retry": {"failed": "queued", "cancelled": "queued", "queued": None},
}
"""What a user may ask for, by state: the state that it leads to; None: it was asked for before. In other states it is refused."""
