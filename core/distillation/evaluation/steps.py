"""What a measure yields: steps that it can be resumed from, and in the end what it found."""

from dataclasses import dataclass, field
from typing import Any

from core.errors import JobFailed


@dataclass(frozen=True)
class Step:
    """``done`` of ``of`` units of work. ``state`` is JSON; the same measure goes on from it in another process."""

    done: int
    of: int
    state: dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """The end of a measure. ``value`` is its one number (an accuracy is a share in [0, 1]), None where it has none.

    ``data`` is JSON: everything else that the report keeps. Entries that begin with ``png`` hold pictures in base64, which
    plots are made of and the report leaves out.
    """

    value: float | None
    values: dict[str, float] = field(default_factory=dict)
    """More numbers by name, for the job's results and for tables over many jobs: ``variance_gap_features`` in %."""
    data: dict[str, Any] = field(default_factory=dict)


def begun(state: dict[str, Any] | None, **fresh: Any) -> dict[str, Any]:
    """The state that a measure goes on from, or the one that it begins with.

    Raises JobFailed where it has not the fields of that one: what is missing would be begun anew beside what is not.
    """
    if state is None:
        return fresh
    if state.keys() != fresh.keys():
        odd = ", ".join(sorted(state.keys() ^ fresh.keys()))
        raise JobFailed(
            "incomplete_checkpoint",
            "infrastructure",
            f"The checkpoint is incomplete: a measure's state, {odd}.",
        )
    return state
