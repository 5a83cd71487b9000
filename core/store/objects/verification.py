"""Are the stored bytes those that the rows name? Each object is read again, a part in memory at a time."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine

from core.errors import NotFound
from core.store.database.engine import read_session
from core.store.objects import references
from core.store.objects.references import StoredFile
from core.store.objects.store import Objects

Problem = Literal["missing", "size", "sha256"]


@dataclass(frozen=True)
class Verified:
    file: StoredFile
    problem: Problem | None
    actual: str = ""
    """The size or SHA-256 that was found instead."""


def verify(engine: Engine, objects: Objects) -> Iterator[Verified]:
    """Every file that a row names. Raises Unavailable."""
    for file in references.list_files(engine):
        verified = _verify(objects, file)
        if verified.problem is None or _named(engine, file.key):
            yield verified


def _verify(objects: Objects, file: StoredFile) -> Verified:
    try:
        size = objects.size(file.key)
        if size != file.size:
            return Verified(file, "size", str(size))
        digest = hashlib.sha256()
        for part in objects.open(file.key):
            digest.update(part)
    except NotFound:
        return Verified(file, "missing")
    return (
        Verified(file, None)
        if digest.hexdigest() == file.sha256
        else Verified(file, "sha256", digest.hexdigest())
    )


def _named(engine: Engine, key: str) -> bool:
    """Meanwhile it may have been replaced, and rightly be gone."""
    with read_session(engine) as session:
        return bool(references.referenced_keys(session, [key]))
