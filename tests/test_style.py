"""How the code reads, counted. ``python -m tests.test_style [FOLDER …]`` lists what is too much.

The bounds are those of CONTRIBUTING.md.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_COLUMNS = 100
MAX_FUNCTION_LINES = 40
MAX_TEST_NAME = 60
MAX_FOLDER_FILES = 15
MAX_VAGUE_PER_1000_LINES = 2.0
MAX_COMPREHENSION_LINES = 3

FOLDERS_OF_ONE_KIND = frozenset(
    {
        "tests/faults",
        "tests/intruders",
        "core/distillation/methods",
        "migrations/versions",
    }
)
"""Each file is one item of a kind: a fault, an intruder's way in, a method, a migration."""

# fmt: off
VAGUE_NAMES = frozenset((
    "it", "its", "he", "they", "them", "theirs", "ours", "mine", "whose", "found", "wanted",
    "held", "given", "asked", "said", "there", "standing", "kept", "made", "done", "left",
    "seen", "told", "taken", "whole", "heard", "shown", "sent", "drawn", "gone", "had", "got",
    "came", "meant", "begun", "lost", "house", "prey", "thing", "things",
))
# fmt: on
"""Pronouns, participles and metaphors: as a name, none of them tells what it names."""


def python_files() -> list[str]:
    """Paths of every Python file of the project, relative to its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listing.splitlines() if (ROOT / name).exists()]


def parse(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(), name)


def long_lines(name: str) -> Iterator[str]:
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        if len(line) > MAX_COLUMNS:
            yield f"{name}:{number}: {len(line)} columns"


def long_functions(name: str) -> Iterator[str]:
    for node in ast.walk(parse(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines"


def long_test_names(name: str) -> Iterator[str]:
    if not name.startswith("tests/"):
        return
    for node in ast.walk(parse(name)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_") and len(node.name) > MAX_TEST_NAME:
            yield f"{name}:{node.lineno}: {node.name} has {len(node.name)} characters"


def vague_names(name: str) -> Iterator[str]:
    """Every use of a vague name, but ``it`` within a comprehension or lambda of three lines."""
    tree = parse(name)
    short_scopes = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(
            node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda
        )
        and (node.end_lineno or node.lineno) - node.lineno < MAX_COMPREHENSION_LINES
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        identifier = _identifier(node)
        if identifier not in VAGUE_NAMES or (identifier == "it" and id(node) in short_scopes):
            continue
        yield f"{name}:{getattr(node, 'lineno', 1)}: {identifier}"


def _identifier(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=identifier) | ast.arg(arg=identifier) | ast.Attribute(attr=identifier):
            return identifier
        case ast.FunctionDef(name=identifier) | ast.ClassDef(name=identifier):
            return identifier.lower()
        case _:
            return None


def crowded_folders(names: list[str]) -> Iterator[str]:
    """Folders with more Python files beside each other than a reader takes in."""
    counts: dict[str, int] = {}
    for name in names:
        folder = Path(name).parent.as_posix()
        counts[folder] = counts.get(folder, 0) + 1
    for folder, count in sorted(counts.items()):
        if count > MAX_FOLDER_FILES and folder not in FOLDERS_OF_ONE_KIND:
            yield f"{folder}: {count} files"


CHECKS = (long_lines, long_functions, long_test_names)


def test_lines_functions_and_test_names_are_short() -> None:
    assert [line for name in python_files() for check in CHECKS for line in check(name)] == []


def test_folders_hold_at_most_fifteen_files() -> None:
    assert list(crowded_folders(python_files())) == []


def test_names_say_what_they_name() -> None:
    names = python_files()
    uses = [use for name in names for use in vague_names(name)]
    lines = sum(len((ROOT / name).read_text().splitlines()) for name in names)
    assert 1000 * len(uses) / lines <= MAX_VAGUE_PER_1000_LINES, "\n".join(uses)


def main(folders: list[str]) -> None:
    names = [name for name in python_files() if not folders or name.startswith(tuple(folders))]
    for check in (*CHECKS, vague_names):
        lines = [line for name in names for line in check(name)]
        print(f"{check.__name__}: {len(lines)}", *lines, sep="\n  ")
    print("crowded_folders:", *crowded_folders(names), sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1:])
