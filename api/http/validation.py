"""What pydantic found wrong, as one sentence per field with the path that the caller wrote."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from core.errors import FieldError, Invalid
from core.jobspec.upgrades import RENAMED_FIELDS

MAX_ERRORS = 50
MAX_VALUE_LENGTH = 60
MAX_STEP_LENGTH = 200
_DISCRIMINATORS = ("kind", "name", "architecture")
_SILENT = {"missing", "extra_forbidden", "json_invalid", "union_tag_not_found", "union_tag_invalid"}
"""Kinds of error whose sentence needs no value: there is none, or it may be anything."""


def invalid_body(errors: Iterable[Mapping[str, Any]], body: Any) -> Invalid:
    """Pydantic's errors, whose locations begin inside ``body``, as one refusal."""
    return _summed_up(
        [_field(error, tuple(error["loc"]), body) for error in islice(errors, MAX_ERRORS)]
    )


def invalid_request(errors: Iterable[Mapping[str, Any]], body: Any) -> Invalid:
    """The same for FastAPI's errors, whose locations begin with body, query, path or header."""
    found = [
        _field(error, tuple(error["loc"])[1:], body if error["loc"][0] == "body" else None)
        for error in islice(errors, MAX_ERRORS)
    ]
    return _summed_up(found)


def _summed_up(found: list[FieldError]) -> Invalid:
    first = found[0]
    where = ".".join(map(str, first.path)) or "body"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Invalid(f"{where}: {first.message}{more}", found)


def _field(error: Mapping[str, Any], location: tuple[str | int, ...], body: Any) -> FieldError:
    return FieldError(_path(location, body), _sentence(error))


def _path(location: tuple[str | int, ...], body: Any) -> tuple[str | int, ...]:
    """Pydantic names the chosen member of a union as a step of its own, and marks a key as ``[key]``: neither is in the body."""
    path: list[str | int] = []
    here = body
    for step in location:
        if step == "[key]":
            continue
        if isinstance(here, dict):
            if step not in here and any(here.get(name) == step for name in _DISCRIMINATORS):
                continue
            here = here.get(step)
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        else:
            here = None
        path.append(step[:MAX_STEP_LENGTH] if isinstance(step, str) else step)
    return tuple(path)


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden" and error["loc"][-1] in RENAMED_FIELDS:
        return f"This field is called {RENAMED_FIELDS[error['loc'][-1]]}."
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].upper() + message[1:]
    value = error.get("input")
    shown = ""
    if error["type"] not in _SILENT and isinstance(value, str | int | float | None):
        shown = _shown(value)
    return f"{message.rstrip('.')}{shown}."


def _shown(value: str | float | None) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return ""
    return f", not {text}" if len(text) <= MAX_VALUE_LENGTH else ""
