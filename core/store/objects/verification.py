"""Verification: are the stored objects those that the rows describe?

Every object is read again, with one part of it in memory at a time.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine

from core.errors import NotFound
from core.store.database.engine import read_session
from core.store.objects import references
from core.store.objects.references import ReferencedObject
from core.store.objects.store import Objects

Problem = Literal["missing", "size", "sha256"]


@dataclass(frozen=True)
class Verified:
    """A stored file that has been read, and what is wrong with it, if anything."""

    file: ReferencedObject
    problem: Problem | None
    actual: str = ""
    """The object's size or SHA-256 where it is not the file's."""


def verify(engine: Engine, objects: Objects) -> Iterator[Verified]:
    """Verify every file that a row names. Raises Unavailable."""
    for file in references.list_files(engine):
        verified = _verify_file(objects, file)
        # An object may have been replaced since its row was read, and then it is rightly missing.
        if verified.problem is None or _is_referenced(engine, file.key):
            yield verified


def _verify_file(objects: Objects, file: ReferencedObject) -> Verified:
    try:
        size = objects.size(file.key)
        if size != file.size:
            return Verified(file, "size", str(size))
        hasher = hashlib.sha256()
        for part in objects.open(file.key):
            hasher.update(part)
    except NotFound:
        return Verified(file, "missing")
    digest = hasher.hexdigest()
    if digest != file.sha256:
        return Verified(file, "sha256", digest)
    return Verified(file, None)


def _is_referenced(engine: Engine, key: str) -> bool:
    with read_session(engine) as session:
        return bool(references.referenced_keys(session, [key]))
