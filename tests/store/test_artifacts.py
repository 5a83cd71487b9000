"""Artifacts: a job's stored files, one of each name."""

import pytest
from sqlalchemy import Engine

from core.errors import NotFound
from core.store import artifacts
from core.store.database.engine import read_session, transaction
from core.store.database.fence import FencedSession
from tests.builders import SHA256, create_job


def record(
    engine: Engine,
    job_id: str,
    name: str,
    *,
    key: str,
    kind: artifacts.ArtifactKind = "checkpoint",
    step: int | None = None,
) -> str | None:
    """Record an artifact; return the key of the object that it replaces."""
    with transaction(engine, FencedSession) as session:
        _, replaced_key = artifacts.record(
            session,
            job_id,
            name=name,
            kind=kind,
            object_key=key,
            size=1,
            sha256=SHA256,
            attempt=1,
            step=step,
        )
    return replaced_key


def test_an_artifact_replaces_the_earlier_one_of_its_name(engine: Engine) -> None:
    job = create_job(engine)
    assert record(engine, job.id, "last", key="key-1", step=1) is None
    assert record(engine, job.id, "last", key="key-2", step=2) == "key-1"
    assert record(engine, job.id, "last", key="key-2", step=2) is None
    with read_session(engine) as session:
        assert artifacts.get(session, job.id, "last").step == 2
        assert len(artifacts.list_artifacts(session, job.id)) == 1
        assert artifacts.list_artifacts(session, job.id, kind="report") == []
        for name in ("none", "a\0b", "../last"):
            with pytest.raises(NotFound):
                artifacts.get(session, job.id, name)


def test_pruning_keeps_the_latest_checkpoints(engine: Engine) -> None:
    """It returns the keys of the objects to delete."""
    job = create_job(engine)
    for step in (10, 200, 30, 4):
        record(engine, job.id, f"step-{step}", key=f"key-{step}", step=step)
    record(engine, job.id, "report", key="r", kind="report")
    with transaction(engine, FencedSession) as session:
        assert sorted(artifacts.prune_checkpoints(session, job.id, keep=2)) == ["key-10", "key-4"]
        assert artifacts.prune_checkpoints(session, job.id, keep=2) == []
        with pytest.raises(ValueError, match="At least one"):
            artifacts.prune_checkpoints(session, job.id, keep=0)
    with read_session(engine) as reader:
        checkpoints = artifacts.list_checkpoints(reader, job.id)
        assert [checkpoint.step for checkpoint in checkpoints] == [200, 30]
        assert [artifact.name for artifact in artifacts.list_artifacts(reader, job.id)] == [
            "report",
            "step-200",
            "step-30",
        ]
