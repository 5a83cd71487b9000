"""Pydantic's errors as one sentence per field, with the path of the field in the caller's body."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from core.errors import FieldError, Invalid
from core.jobspec.upgrades import RENAMED_FIELDS

MAX_ERRORS = 50
MAX_VALUE_LENGTH = 60
MAX_STEP_LENGTH = 200
_DISCRIMINATORS = ("kind", "name", "architecture")
_WITHOUT_VALUE = {
    "missing",
    "extra_forbidden",
    "json_invalid",
    "union_tag_not_found",
    "union_tag_invalid",
}
"""Types of error whose sentence does not quote the value: there is none, or it may be anything."""
_SHOULD = re.compile(r"^(Input|String|List|Tuple|Dictionary|Set) should")
_PLAIN_WORDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "Field required": "This field is required",
}
"""Words of pydantic's, and those of this service."""


def invalid_body(errors: Iterable[Mapping[str, Any]], body: Any) -> Invalid:
    """Make one Invalid of pydantic's errors, whose locations begin inside ``body``."""
    return _summarize(
        [_field_error(error, tuple(error["loc"]), body) for error in islice(errors, MAX_ERRORS)]
    )


def invalid_request(errors: Iterable[Mapping[str, Any]], body: Any) -> Invalid:
    """Make one Invalid of FastAPI's errors: locations begin with body, query, path or header."""
    field_errors = []
    for error in islice(errors, MAX_ERRORS):
        source, *location = error["loc"]
        field_errors.append(
            _field_error(error, tuple(location), body if source == "body" else None)
        )
    return _summarize(field_errors)


def _summarize(errors: list[FieldError]) -> Invalid:
    first = errors[0]
    path = ".".join(map(str, first.path)) or "body"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Invalid(f"{path}: {first.message}{more}", errors)


def _field_error(
    error: Mapping[str, Any], location: tuple[str | int, ...], body: Any
) -> FieldError:
    return FieldError(_body_path(location, body), _sentence(error))


def _body_path(location: tuple[str | int, ...], body: Any) -> tuple[str | int, ...]:
    """Translate pydantic's location into a path of the body.

    Pydantic inserts the chosen member of a union as a step of its own, and marks a dictionary's key
    as ``[key]``; neither exists in the body.
    """
    path: list[str | int] = []
    value = body
    for step in location:
        if step == "[key]":
            continue
        if isinstance(value, dict):
            if step not in value and any(value.get(name) == step for name in _DISCRIMINATORS):
                continue
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            value = None
        path.append(step[:MAX_STEP_LENGTH] if isinstance(step, str) else step)
    return tuple(path)


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden" and error["loc"][-1] in RENAMED_FIELDS:
        return f"This field is called {RENAMED_FIELDS[error['loc'][-1]]}."
    message = str(error["msg"]).removeprefix("Value error, ")
    message = _SHOULD.sub("Must", message)
    for words, plain_words in _PLAIN_WORDS.items():
        message = message.replace(words, plain_words)
    message = message[:1].upper() + message[1:]
    value = error.get("input")
    quotable = error["type"] not in _WITHOUT_VALUE and isinstance(value, str | int | float | None)
    return f"{message.rstrip('.')}{_quote(value) if quotable else ''}."


def _quote(value: str | float | None) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return ""
    return f", not {text}" if len(text) <= MAX_VALUE_LENGTH else ""
