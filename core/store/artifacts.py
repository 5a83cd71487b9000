"""A job's files: checkpoints, weights, reports. The object is stored first, then the row: a row never points at nothing."""

from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.store.database.fence import FencedSession
from core.store.database.ids import new_id
from core.store.database.tables import ArtifactRow

ArtifactKind = Literal["checkpoint", "weights", "report", "figure", "export"]


def record(
    session: FencedSession,
    job_id: str,
    *,
    name: str,
    kind: ArtifactKind,
    object_key: str,
    size: int,
    sha256: str,
    attempt: int,
    media_type: str = "application/octet-stream",
    step: int | None = None,
) -> tuple[ArtifactRow, str | None]:
    """Record a stored file, in place of an earlier one of this name.

    Also the object key that nothing points at any more, to be deleted AFTER the commit; None where there is none.
    """
    earlier = _find(session, job_id, name)
    orphan = (
        earlier.object_key if earlier is not None and earlier.object_key != object_key else None
    )
    if earlier is not None:
        session.delete(earlier)
        session.flush()
    artifact = ArtifactRow(
        id=new_id("art"),
        job_id=job_id,
        name=name,
        kind=kind,
        object_key=object_key,
        size=size,
        sha256=sha256,
        media_type=media_type,
        step=step,
        attempt=attempt,
    )
    session.add(artifact)
    session.flush()
    return artifact, orphan


def get(session: Session, job_id: str, name: str) -> ArtifactRow:
    """Raises NotFound."""
    artifact = _find(session, job_id, name)
    if artifact is None:
        raise NotFound(f"Job {job_id} has no artifact {name[:200]!r}.")
    return artifact


def list_artifacts(session: Session, job_id: str, kind: ArtifactKind | None = None) -> list[ArtifactRow]:
    """By name."""
    statement = select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.name)
    return list(
        session.scalars(statement if kind is None else statement.where(ArtifactRow.kind == kind))
    )


def list_checkpoints(session: Session, job_id: str) -> list[ArtifactRow]:
    """The furthest first: what an attempt resumes from, and falls back on where that one is corrupt."""
    statement = select(ArtifactRow).where(
        ArtifactRow.job_id == job_id, ArtifactRow.kind == "checkpoint"
    )
    return list(session.scalars(statement.order_by(ArtifactRow.step.desc(), ArtifactRow.id.desc())))


def delete_record(session: FencedSession, artifact: ArtifactRow) -> str:
    """Forget a file, such as a corrupt checkpoint; its object key, to be deleted AFTER the commit."""
    session.execute(delete(ArtifactRow).where(ArtifactRow.id == artifact.id))
    return artifact.object_key


def prune_checkpoints(session: FencedSession, job_id: str, keep: int) -> list[str]:
    """Forget all but the furthest ``keep`` checkpoints; their object keys, to be deleted AFTER the commit."""
    if keep < 1:
        raise ValueError(f"At least one checkpoint must be kept, not {keep}.")
    return [delete_record(session, artifact) for artifact in list_checkpoints(session, job_id)[keep:]]


def _find(session: Session, job_id: str, name: str) -> ArtifactRow | None:
    if "\0" in name:
        return None
    return session.scalars(
        select(ArtifactRow).where(ArtifactRow.job_id == job_id, ArtifactRow.name == name)
    ).one_or_none()
