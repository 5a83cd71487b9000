"""The analyses' table of contents."""

from collections.abc import Callable
from typing import Any

ANALYSES: dict[str, Callable[..., Any]] = {}
