"""Which of several forms of one thing a caller would rather have: RFC 9110's Accept."""

from collections.abc import Sequence

from fastapi import Request


def preferred_media_type(request: Request, offered: Sequence[str]) -> str:
    """One of ``offered`` media types, the first where the caller does not care, or wants none of them."""
    wanted = _wanted(request.headers.get("accept", "*/*"))
    qualities = {kind: _quality(kind, wanted) for kind in offered}
    return max(offered, key=lambda kind: qualities[kind])


def _wanted(accept: str) -> dict[str, float]:
    """{"text/html": 1.0, "*/*": 0.8}; what cannot be read is left out."""
    found = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        given = next((it[2:] for it in parameters if it.startswith("q=")), "1")
        try:
            found[kind] = float(given)
        except ValueError:
            continue
    return found


def _quality(kind: str, wanted: dict[str, float]) -> float:
    """Of the most specific range that takes it in."""
    ranges = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    return next((wanted[each] for each in ranges if each in wanted), 0.0)
