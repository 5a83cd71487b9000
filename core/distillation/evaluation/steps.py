"""What a measure yields: steps that it can resume from, and its finding last."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from core.errors import JobFailed

MeasureState = dict[str, Any]
"""JSON from which a measure resumes. Each measure has fields of its own."""


@dataclass(frozen=True)
class Step:
    """Progress of a measure: ``completed`` of ``total`` units of work.

    From ``state`` the same measure resumes in another process.
    """

    completed: int
    total: int
    state: MeasureState


@dataclass(frozen=True)
class Finding:
    """The result of a measure.

    ``value`` is its one number (an accuracy is a share in [0, 1]), None where it has none.

    ``data`` is JSON: everything else that the report contains. Entries whose names begin with
    ``png`` are pictures in base64: plots are made of them, and the report omits them.
    """

    value: float | None
    values: dict[str, float] = field(default_factory=dict)
    """Further numbers by name, for the job's results and for tables over many jobs."""
    data: dict[str, Any] = field(default_factory=dict)
    mask: str | None = None
    """Of an accuracy: which images are correct, one character (0 or 1) an image, in the order of
    the test images."""

    def require_value(self) -> float:
        """Return ``value``. Raises ValueError where the measure has none."""
        if self.value is None:
            raise ValueError("This measure has no single value.")
        return self.value


def last_finding(steps: Iterator[Step | Finding]) -> Finding:
    """Run a measure to its end without saving its steps, and return the finding."""
    for step in steps:
        if isinstance(step, Finding):
            return step
    raise ValueError("The measure ended without a finding.")


def resume_state(state: MeasureState | None, **initial: Any) -> MeasureState:
    """Return the state to resume from: ``state``, or ``initial`` where a measure starts anew.

    Raises JobFailed unless both have the same fields: a missing field would silently start from
    its initial value while the others resume.
    """
    if state is None:
        return initial
    if state.keys() != initial.keys():
        differences = ", ".join(sorted(state.keys() ^ initial.keys()))
        raise JobFailed(
            "incomplete_checkpoint",
            "infrastructure",
            f"The checkpoint is incomplete: missing or unknown fields in the state of a measure "
            f"({differences}).",
        )
    return state
