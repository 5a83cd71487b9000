"""Content negotiation (RFC 9110, section 12): which representation a caller prefers."""

from collections.abc import Sequence

from fastapi import Request


def preferred_media_type(request: Request, offered: Sequence[str]) -> str:
    """Return the one of ``offered`` that Accept rates highest.

    The first where several are rated alike, none is accepted, or there is no such header.
    """
    accepted = _parse_accept(request.headers.get("accept", "*/*"))
    return max(offered, key=lambda media_type: _quality(media_type, accepted))


def preferred_encoding(request: Request, offered: Sequence[str]) -> str:
    """Return the one of ``offered`` that Accept-Encoding rates highest, ``identity`` if none is.

    The first where several are rated alike. ``identity`` (as is) must be among them.
    """
    accepted = _parse_accept(request.headers.get("accept-encoding", ""))
    default = accepted.get("*", 0.0)
    best = max(offered, key=lambda encoding: accepted.get(encoding, default))
    return best if accepted.get(best, default) > 0 else "identity"


def _parse_accept(header: str) -> dict[str, float]:
    """Return qualities by media range: {"text/html": 1.0, "*/*": 0.8}, without malformed parts."""
    qualities = {}
    for part in header.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            qualities[media_range] = float(quality)
        except ValueError:
            continue
    return qualities


def _quality(media_type: str, accepted: dict[str, float]) -> float:
    """Return the quality of the most specific range that matches ``media_type``; 0 if none does."""
    media_ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((accepted[name] for name in media_ranges if name in accepted), 0.0)
