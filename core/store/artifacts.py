"""Artifacts: a job's stored files, such as checkpoints, weights and reports.

The object is stored before its row, so that no row names an object that does not exist.
"""

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
    """Record a stored object as the job's artifact of this name; replace an earlier one.

    Return the artifact and the key of the replaced object, which is to be deleted AFTER the commit;
    None where there is no such object.
    """
    replaced_key = None
    earlier = _find(session, job_id, name)
    if earlier is not None:
        if earlier.object_key != object_key:
            replaced_key = earlier.object_key
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
    return artifact, replaced_key


def get(session: Session, job_id: str, name: str) -> ArtifactRow:
    """Return the artifact of this name. Raises NotFound."""
    artifact = _find(session, job_id, name)
    if artifact is None:
        raise NotFound(f"Job {job_id} has no artifact {name[:200]!r}.")
    return artifact


def list_artifacts(
    session: Session, job_id: str, kind: ArtifactKind | None = None
) -> list[ArtifactRow]:
    """Return the job's artifacts, of one kind if given, sorted by name."""
    statement = select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.name)
    if kind is not None:
        statement = statement.where(ArtifactRow.kind == kind)
    return list(session.scalars(statement))


def list_checkpoints(session: Session, job_id: str) -> list[ArtifactRow]:
    """Return the job's checkpoints, the latest step first.

    An attempt resumes from the first one that is not corrupt.
    """
    statement = select(ArtifactRow).where(
        ArtifactRow.job_id == job_id, ArtifactRow.kind == "checkpoint"
    )
    return list(session.scalars(statement.order_by(ArtifactRow.step.desc(), ArtifactRow.id.desc())))


def delete_record(session: FencedSession, artifact: ArtifactRow) -> str:
    """Delete an artifact's row; return its object key, to be deleted AFTER the commit."""
    session.execute(delete(ArtifactRow).where(ArtifactRow.id == artifact.id))
    return artifact.object_key


def prune_checkpoints(session: FencedSession, job_id: str, keep: int) -> list[str]:
    """Delete the rows of all but the latest ``keep`` checkpoints.

    Return their object keys, to be deleted AFTER the commit.
    """
    if keep < 1:
        raise ValueError(f"At least one checkpoint must be kept, not {keep}.")
    return [
        delete_record(session, artifact) for artifact in list_checkpoints(session, job_id)[keep:]
    ]


def _find(session: Session, job_id: str, name: str) -> ArtifactRow | None:
    if "\0" in name:
        return None
    return session.scalars(
        select(ArtifactRow).where(ArtifactRow.job_id == job_id, ArtifactRow.name == name)
    ).one_or_none()
