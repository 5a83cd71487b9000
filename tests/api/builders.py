"""Jobs in states that only a worker can bring about, and files of theirs."""

import hashlib
import json
from typing import Any

from sqlalchemy import Engine

from core.store import artifacts, attempts
from core.store.attempts import Attempt
from core.store.database.engine import write_session
from core.store.database.tables import ArtifactRow
from core.store.objects.store import Objects, artifact_key
from tests.builders import report_json, create_attempt

SAFETENSORS = (2).to_bytes(8, "little") + b"{}"


REPORTS = (
    ("report.json", "application/json", json.dumps(report_json()).encode()),
    ("report.html", "text/html; charset=utf-8", b"<!doctype html><title>Report</title>"),
    ("report.md", "text/markdown; charset=utf-8", b"# Report\n"),
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def an_artifact(
    engine: Engine,
    objects: Objects,
    attempt: Attempt,
    name: str,
    data: bytes,
    kind: Any = "weights",
    **changes: Any,
) -> ArtifactRow:
    key = artifact_key(attempt.job_id, attempt.number, name)
    size, digest = objects.put_stream(key, iter([data]), len(data))
    with write_session(engine) as session:
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


def a_finished_job(engine: Engine, objects: Objects) -> Attempt:
    """With a report and weights; it has succeeded."""
    attempt = create_attempt(engine)
    an_artifact(engine, objects, attempt, "best.safetensors", bytes(range(256)) * 4)
    for name, media_type, content in REPORTS:
        an_artifact(engine, objects, attempt, name, content, "report", media_type=media_type)
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job)
    return attempt
