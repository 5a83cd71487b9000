"""Builders of stored objects."""

from sqlalchemy import Engine

from core.store import attempts, metrics
from core.store.database.tables import ModelRow
from core.store.objects.store import FOLDERS, Objects
from core.store.registry import models
from tests.api.builders import create_artifact
from tests.builders import create_attempt, create_job, model_description, stored_keys


def put(objects: Objects, key: str, data: bytes = b"bytes") -> tuple[int, str]:
    """Store an object; return its size and SHA-256."""
    return objects.put_stream(key, [data], len(data))


def all_keys(objects: Objects) -> set[str]:
    return {key for folder in FOLDERS for key in stored_keys(objects, folder)}


def create_published_job(engine: Engine, objects: Objects) -> tuple[str, ModelRow]:
    """Create a finished job whose student is its own artifact best.safetensors."""
    attempt = create_attempt(engine, create_job(engine, metadata={"a": "b"}))
    best = create_artifact(engine, objects, attempt, "best.safetensors", b"best")
    create_artifact(engine, objects, attempt, "report.json", b"{}", "report")
    with attempt.fenced_session() as (session, job):
        metrics.record(session, job.id, attempt.number, 1, {"loss": 1.0})
        student = models.publish(
            session,
            job,
            model_description(),
            object_key=best.object_key,
            size=best.size,
            sha256=best.sha256,
        )
        attempts.succeed(session, job, {}, student.id)
    return attempt.job_id, student
