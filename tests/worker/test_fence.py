"""No code of the worker can write past the fence: what is not typed to need it, is not there."""

import ast
from pathlib import Path
from typing import get_type_hints

import pytest

import worker
from core.store import artifacts, attempts, datasets, metrics, models
from core.store.database.fence import FencedSession
from core.store.lifecycle import retry_policy

OF_NO_ATTEMPT = {"sweeper.py", "registry.py"}
"""What these write belongs to no attempt."""


@pytest.mark.parametrize(
    "function",
    [
        artifacts.record,
        artifacts.delete_record,
        artifacts.prune_checkpoints,
        metrics.record,
        metrics.record_many,
        attempts.succeed,
        attempts.release,
        retry_policy.apply_retry_policy,
        models.publish,
        models.mark_ready,
        datasets.mark_ready,
    ],
)
def test_what_an_attempt_writes_asks_for_a_fenced_session(function: object) -> None:
    assert get_type_hints(function)["session"] is FencedSession


def test_the_worker_opens_no_other_transactions() -> None:
    for path in Path(worker.__file__).parent.glob("*.py"):
        imported = {
            name.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        assert path.name in OF_NO_ATTEMPT or not imported & {
            "writing",
            "transaction",
            "Session",
            "Fenced",
        } - allowed(path), path


def allowed(path: Path) -> set[str]:
    """A name in annotations is no transaction."""
    return {"Fenced"} if path.name in {"conclusion.py", "outputs.py"} else set()
