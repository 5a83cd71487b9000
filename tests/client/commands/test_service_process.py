"""Commands that run the service itself: ``distill up``, ``backup``, ``restore``, ``storage``."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from tests.client.commands.runner import distill


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the programs that would replace this process."""
    programs: list[list[str]] = []

    def execv(program: str, arguments: list[str]) -> None:
        programs.append([program, *arguments])

    monkeypatch.setattr(os, "execv", execv)
    return programs


def test_up_executes_the_embedded_service(executed: list[list[str]], tmp_path: Path) -> None:
    distill("up", "--port", "9000", "--data", tmp_path, "--device", "cpu")
    python = sys.executable
    options = ["--port", "9000", "--data", str(tmp_path), "--device", "cpu"]
    assert executed == [[python, python, "-P", "-m", "embedded", *options]]


@pytest.mark.parametrize(
    ("line", "module", "options"),
    [
        ("backup saved --data data", "embedded.backup", "save saved --data data"),
        ("restore saved --data data", "embedded.backup", "restore saved --data data"),
        ("storage gc --dry-run --json", "core.store.commands.storage", "gc --dry-run --json"),
        ("storage verify --data data", "core.store.commands.storage", "verify --data data"),
    ],
)
def test_local_commands_execute_the_service(
    executed: list[list[str]], line: str, module: str, options: str
) -> None:
    assert distill(*line.split()).exit_code == 0
    assert executed == [[sys.executable, sys.executable, "-P", "-m", module, *options.split()]]


@pytest.mark.parametrize("line", ["up", "backup saved", "storage verify"])
def test_without_the_service_it_says_what_to_install(
    executed: list[list[str]], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = distill(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install '.[trainer]'" in result.stderr
    assert "distill-service" in result.stderr
    assert executed == []


def test_restore_requires_the_folder_to_create() -> None:
    assert distill("restore", "saved").exit_code == 2
