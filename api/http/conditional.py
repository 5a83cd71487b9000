"""Conditional requests: is what the caller has still what there is?"""

from fastapi import Request


def is_not_modified(request: Request, etag: str) -> bool:
    """Whether If-None-Match names ``etag``; weak and strong ones are compared alike, as RFC 9110 says."""
    given = [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get("if-none-match", "").split(",")
    ]
    return "*" in given or etag.removeprefix("W/") in given
