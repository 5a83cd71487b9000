"""Identifiers: a prefix that says what is meant, and a UUIDv7 as 26 Crockford digits, so that text order is time order."""

import re

import uuid_utils

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """``new_id("job")`` -> ``job_01k9…``: lower case, safe in a path, a shell and a file name."""
    number = uuid_utils.uuid7().int
    return f"{prefix}_" + "".join(_DIGITS[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Whether ``text`` could be an identifier at all; asked before a caller's text goes into a query."""
    return re.fullmatch(r"[a-z]{1,8}_[a-z0-9]{1,40}", text) is not None
