"""A job's states, the transitions between them, and the actions that a user may take.

Code and documentation share these tables: a test holds docs/architecture.md to them.
"""

from typing import Literal, get_args

PROTOCOL = 5
"""Version of what API and workers agree on: spec, states, tables, job folder.

It is raised when an older worker could not run a job that a newer API accepted. 1: up to schema
0003. 2: schema 0004. 3: schema 0005. 4: schema 0006, keys of results, settings of presets.
5: schema 0007, adversarial examples.
"""

Status = Literal[
    "queued", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"
]
Phase = Literal["preparing", "training", "evaluating", "exporting"]
Outcome = Literal["succeeded", "failed", "paused", "cancelled", "released", "lost"]
"""How an attempt ended. ``failed``: also where the job is tried again; ``released``: its worker was
shut down; ``lost``: its worker did not renew the lease."""

STATUSES: tuple[Status, ...] = get_args(Status)
TERMINAL: frozenset[Status] = frozenset({"cancelled", "succeeded", "failed"})
LEASED: frozenset[Status] = frozenset({"running", "pausing", "cancelling"})
"""A worker holds a lease on the job."""

TRANSITIONS: dict[tuple[Status, Status], str] = {
    ("queued", "running"): "a worker claimed it",
    ("queued", "paused"): "a user paused it before it started",
    ("queued", "cancelled"): "a user cancelled it before it started",
    (
        "running",
        "queued",
    ): "its worker was lost, was shut down, or failed through no fault of the job",
    ("running", "pausing"): "a user asked to pause it",
    ("running", "paused"): "storage has no room for its output",
    ("running", "cancelling"): "a user asked to cancel it",
    ("running", "succeeded"): "done",
    ("running", "failed"): "it cannot succeed, or has failed too often",
    ("pausing", "paused"): "its trainer has saved a checkpoint and ended, or its worker was lost",
    ("pausing", "cancelling"): "a user asked to cancel it",
    ("pausing", "succeeded"): "it succeeded before the request to pause reached it",
    ("pausing", "failed"): "it failed before the request to pause reached it",
    ("paused", "queued"): "a user resumed it, or storage has room again",
    ("paused", "cancelled"): "a user cancelled it while it was paused",
    ("cancelling", "cancelled"): "its trainer has ended, or its worker was lost",
    ("cancelling", "succeeded"): "it succeeded before the request to cancel reached it",
    ("failed", "queued"): "a user retried it",
    ("cancelled", "queued"): "a user retried it",
}
"""The allowed transitions, each with its reason."""


def is_transition(old: Status, new: Status) -> bool:
    """Whether a job may go from one status to the other."""
    return (old, new) in TRANSITIONS


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
"""By action and status, the status that it leads to. None: the action was taken before, and changes
nothing. In a status that is missing, the action is refused."""
