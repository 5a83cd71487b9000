"""The worker writes only through fenced sessions: the functions that it calls demand one."""

import ast
from pathlib import Path
from typing import get_type_hints

import pytest

import worker
from core.store import artifacts, attempts, metrics
from core.store.database.fence import FencedSession
from core.store.lifecycle import retry_policy
from core.store.registry import models, uploaded_items

WITHOUT_ATTEMPT = {"reconciler.py", "registration.py"}
"""What these modules write belongs to no attempt."""


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
        uploaded_items.mark_ready,
    ],
)
def test_what_an_attempt_writes_needs_a_fenced_session(function: object) -> None:
    assert get_type_hints(function)["session"] is FencedSession


def test_the_worker_opens_no_other_transactions() -> None:
    for path in Path(worker.__file__).parent.glob("*.py"):
        imported = {
            name.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        assert path.name in WITHOUT_ATTEMPT or not imported & {
            "write_session",
            "transaction",
            "Session",
            "FencedSession",
        } - names_in_annotations(path), path


def names_in_annotations(path: Path) -> set[str]:
    """Return the names that a module imports for annotations, which open no transaction."""
    return {"FencedSession"} if path.name in {"attempt_result.py", "outputs.py"} else set()
