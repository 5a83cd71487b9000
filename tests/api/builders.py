"""Builders of what only a worker can bring about: ended jobs, their files, ready data sets."""

import hashlib
import json
from typing import Any

from sqlalchemy import Engine

from core.store import artifacts, attempts
from core.store.attempts import Attempt
from core.store.database.engine import transaction
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, ArtifactRow, DatasetRow
from core.store.objects.store import Objects, artifact_key
from core.store.registry import datasets, uploaded_items
from tests.builders import SHA256, create_attempt, dataset_description, report_json

SAFETENSORS = (2).to_bytes(8, "little") + b"{}"


REPORTS = (
    ("report.json", "application/json", json.dumps(report_json()).encode()),
    ("report.html", "text/html; charset=utf-8", b"<!doctype html><title>Report</title>"),
    ("report.md", "text/markdown; charset=utf-8", b"# Report\n"),
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def create_artifact(
    engine: Engine,
    objects: Objects,
    attempt: Attempt,
    name: str,
    data: bytes,
    kind: Any = "weights",
    **changes: Any,
) -> ArtifactRow:
    """Store a file of the attempt's job; ``changes`` are further columns of its row."""
    key = artifact_key(attempt.job_id, attempt.number, name)
    size, digest = objects.put_stream(key, iter([data]), len(data))
    with transaction(engine, FencedSession) as session:
        return artifacts.record(
            session,
            attempt.job_id,
            name=name,
            kind=kind,
            object_key=key,
            size=size,
            sha256=digest,
            attempt=attempt.number,
            **changes,
        )[0]


def create_finished_job(engine: Engine, objects: Objects) -> Attempt:
    """Return the attempt of a job that has succeeded, with weights and a report."""
    attempt = create_attempt(engine)
    create_artifact(engine, objects, attempt, "best.safetensors", bytes(range(256)) * 4)
    for name, media_type, content in REPORTS:
        create_artifact(engine, objects, attempt, name, content, "report", media_type=media_type)
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job)
    return attempt


def create_ready_dataset(engine: Engine, name: str, **changes: Any) -> DatasetRow:
    """A data set whose file is not stored; ``changes`` are those of ``dataset_description``."""
    with transaction(engine, FencedSession) as session:
        row = datasets.create(session, DEFAULT_PROJECT, name, "upload")
        description = dataset_description(**changes)
        return uploaded_items.mark_ready(
            session, row, description, object_key=name, size=1, sha256=SHA256
        )
