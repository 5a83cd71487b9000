"""Conditional requests (RFC 9110, section 13): is the caller's copy still the current one?

An ETag of something that can be edited begins with the number of its edits. If-None-Match compares
the complete tag. If-Match, before an edit, compares this number alone: name, notes and metadata are
all that an edit can overwrite, and the progress of a running job makes nobody's edit stale.
"""

from typing import Annotated
from zlib import crc32

from fastapi import Header, Request
from pydantic import BaseModel

from api.http.problems import PreconditionFailed
from api.representation.json_response import to_json

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1000,
        description="The ETag of an earlier response, or several: the request is refused (412) if "
        "name, notes or metadata were changed since. Without it the last change wins.",
    ),
]


def entity_tag(edits: int, *state: object) -> str:
    """Return a weak ETag. ``state``: everything else that changes the response."""
    return f'W/"{edits}.{"-".join(map(str, state))}"'


def body_tag(edits: int, body: BaseModel) -> str:
    """Return a weak ETag that changes with anything in the body."""
    return entity_tag(edits, f"{crc32(to_json(body).encode()):x}")


def require_match(if_match: str | None, edits: int) -> None:
    """Check If-Match against the number of edits. Weak and strong tags compare alike.

    Raises PreconditionFailed.
    """
    if if_match is None or if_match.strip() == "*":
        return
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]
    if str(edits) not in {tag.partition(".")[0] for tag in tags}:
        raise PreconditionFailed(
            "Its name, notes or metadata were changed since the response with this ETag; get it "
            "again, and decide what to keep."
        )


def is_not_modified(request: Request, etag: str) -> bool:
    """Whether If-None-Match lists ``etag``; weak and strong tags compare alike, as it requires."""
    header = request.headers.get("if-none-match", "")
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags
