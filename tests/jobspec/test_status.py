"""The tables of a job's life, and that the documentation has the same ones."""

import re
from pathlib import Path

from core.jobspec.status import ACTIONS, LEASED, TRANSITIONS, STATUSES, TERMINAL

ARCHITECTURE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()


def table(head: str) -> list[tuple[str, ...]]:
    """Rows of the documentation's table whose head line is ``head``."""
    rows = ARCHITECTURE.split(head, 1)[1].split("\n\n", 1)[0].strip().splitlines()[1:]
    return [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]) for row in rows]


def test_the_documented_moves_are_those_of_the_code() -> None:
    assert table("| from | to | because |") == [
        (old, new, why) for (old, new), why in TRANSITIONS.items()
    ]


def test_the_documented_actions_are_those_of_the_code() -> None:
    wanted = []
    for action, states in ACTIONS.items():
        changed = {old: new for old, new in states.items() if new is not None}
        wanted.append((action, ", ".join(changed), ", ".join(dict.fromkeys(changed.values()))))
    assert table("| action | from | leads to |") == wanted


def test_every_state_can_be_reached_and_left_unless_it_is_an_end() -> None:
    reached = {new for _, new in TRANSITIONS} | {"queued"}
    assert reached == set(STATUSES)
    left = {old for old, _ in TRANSITIONS}
    assert set(STATUSES) - left == {"succeeded"}


def test_a_job_ends_only_from_a_worker_or_by_a_users_wish() -> None:
    for old, new in TRANSITIONS:
        if new in TERMINAL:
            assert old in LEASED or new == "cancelled"
