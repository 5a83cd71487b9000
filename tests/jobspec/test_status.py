"""The tables of states, transitions and actions, in code and documentation."""

import re
from pathlib import Path

from core.jobspec.status import ACTIONS, LEASED, STATUSES, TERMINAL, TRANSITIONS

ARCHITECTURE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()


def table(head: str) -> list[tuple[str, ...]]:
    """Return the rows of the documentation's table whose head line is ``head``."""
    rows = ARCHITECTURE.split(head, 1)[1].split("\n\n", 1)[0].strip().splitlines()[1:]
    return [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]) for row in rows]


def test_documented_transitions_are_those_of_the_code() -> None:
    assert table("| from | to | because |") == [
        (old, new, why) for (old, new), why in TRANSITIONS.items()
    ]


def test_documented_actions_are_those_of_the_code() -> None:
    rows = []
    for action, states in ACTIONS.items():
        changed = {old: new for old, new in states.items() if new is not None}
        rows.append((action, ", ".join(changed), ", ".join(dict.fromkeys(changed.values()))))
    assert table("| action | from | leads to |") == rows


def test_every_state_but_succeeded_can_be_left() -> None:
    """Every state but queued can be targets."""
    targets = {new for _, new in TRANSITIONS} | {"queued"}
    assert targets == set(STATUSES)
    sources = {old for old, _ in TRANSITIONS}
    assert set(STATUSES) - sources == {"succeeded"}


def test_only_a_worker_or_a_user_ends_a_job() -> None:
    for old, new in TRANSITIONS:
        if new in TERMINAL:
            assert old in LEASED or new == "cancelled"
