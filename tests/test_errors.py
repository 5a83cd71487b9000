"""The codes that the docstrings of core.errors list are those that the sources raise."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from core import errors

ROOT = Path(__file__).parents[1]
PACKAGES = ("api", "core", "embedded", "migrations", "worker")
JOB_FAILURES = frozenset({"JobFailed", "failed_event"})
"""Callables whose first argument is the code of a failed attempt."""

Codes = dict[str, set[str]]
"""Codes, or patterns of them, by the name of the class in core.errors that documents them."""


def documented_codes() -> Codes:
    """Return the codes at the end of each docstring, and those that are a class's own."""
    codes: Codes = {}
    for name, error in inspect.getmembers(errors, inspect.isclass):
        if error.__module__ != errors.__name__ or not issubclass(error, Exception):
            continue
        _, _, listed_codes = (error.__doc__ or "").partition("Codes:")
        codes[name] = set(re.findall(r"\w+", listed_codes))
        if isinstance(own_code := vars(error).get("code"), str):
            codes[name].add(own_code)
    return codes


def raised_codes() -> Codes:
    """Return patterns of the codes in the sources; see ``literals``."""
    codes: Codes = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name, code in codes_in(ast.parse(path.read_text())):
                codes.setdefault(name, set()).add(code)
    return codes


def codes_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield a pattern of every code of an error, with the class that documents it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from ((documenting_class(node.name), code) for code in class_codes(node))
        elif isinstance(node, ast.Call):
            name = called_name(node)
            values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if name in JOB_FAILURES:
                values += node.args[:1]
            yield from (
                (documenting_class(name), code) for value in values for code in literals(value)
            )


def class_codes(node: ast.ClassDef) -> Iterator[str]:
    """Yield what ``code = "…"`` in the body of an error class says."""
    if not any(isinstance(base, ast.Name) and hasattr(errors, base.id) for base in node.bases):
        return
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "code":
            yield from literals(statement.value)


def called_name(call: ast.Call) -> str:
    """Return the name of the class or function; ``Invalid`` for ``Invalid.field``."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id=name), attr="field"):
            return name
        case _:
            return ""


def literals(value: ast.expr) -> Iterator[str]:
    """Yield a pattern of every string that the expression may be.

    A placeholder of an f-string stands for any word.
    """
    match value:
        case ast.Constant(value=str(code)):
            yield re.escape(code)
        case ast.JoinedStr(values=parts):
            yield "".join(next(literals(part), r"\w+") for part in parts)
        case ast.IfExp(body=first, orelse=second):
            yield from literals(first)
            yield from literals(second)


def documenting_class(name: str) -> str:
    """Errors that are not defined in core.errors are documented at the base class."""
    if name in JOB_FAILURES:
        return "JobFailed"
    return name if hasattr(errors, name) else "DistillError"


def is_among(pattern: str, codes: set[str]) -> bool:
    return any(re.fullmatch(pattern, code) for code in codes)


def test_every_code_is_documented_at_its_error() -> None:
    documented = documented_codes()
    assert [
        (name, pattern)
        for name, patterns in raised_codes().items()
        for pattern in sorted(patterns)
        if not is_among(pattern, documented[name])
    ] == []


def test_every_documented_code_is_in_the_sources() -> None:
    constants = {
        node.value
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    patterns = set().union(*raised_codes().values())
    documented = set().union(*documented_codes().values())
    assert {
        code
        for code in documented - constants
        if not any(re.fullmatch(pattern, code) for pattern in patterns)
    } == set()
