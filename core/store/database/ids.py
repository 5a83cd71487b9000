"""Identifiers: a prefix for the kind of row, and a UUIDv7 as 26 Crockford base-32 digits.

Text order is time order.
"""

import re

import uuid_utils

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Return a new id: ``new_id("job")`` is ``job_01k9…``, safe in a path, a shell, a file name."""
    number = uuid_utils.uuid7().int
    return f"{prefix}_" + "".join(_DIGITS[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Return whether ``text`` has the form of an id; check this before using it in a query."""
    return re.fullmatch(r"[a-z]{1,8}_[a-z0-9]{1,40}", text) is not None
