"""Conditional requests (RFC 9110, section 13): is the caller's copy still the current one?"""

from fastapi import Request


def is_not_modified(request: Request, etag: str) -> bool:
    """Whether If-None-Match lists ``etag``; weak and strong tags compare alike, as it requires."""
    header = request.headers.get("if-none-match", "")
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags
