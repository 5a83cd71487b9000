"""A job's files: checkpoints, weights, reports. The object is stored first, then the row: a row never points at nothing."""

from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.store.fence import Fenced
from core.store.ids import new_id
from core.store.tables import Artifact

Kind = Literal["checkpoint", "weights", "report", "figure", "export"]


def put(
    session: Fenced,
    job_id: str,
    *,
    name: str,
    kind: Kind,
    object_key: str,
    size: int,
    sha256: str,
    attempt: int,
    media_type: str = "application/octet-stream",
    step: int | None = None,
) -> tuple[Artifact, str | None]:
    """Record a stored file, in place of an earlier one of this name.

    Also the object key that nothing points at any more, to be deleted AFTER the commit; None where there is none.
    """
    earlier = _find(session, job_id, name)
    orphan = earlier.object_key if earlier is not None and earlier.object_key != object_key else None
    if earlier is not None:
        session.delete(earlier)
        session.flush()
    artifact = Artifact(
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


def get(session: Session, job_id: str, name: str) -> Artifact:
    """Raises NotFound."""
    artifact = _find(session, job_id, name)
    if artifact is None:
        raise NotFound(f"Job {job_id} has no artifact {name[:200]!r}.")
    return artifact


def list_artifacts(session: Session, job_id: str, kind: Kind | None = None) -> list[Artifact]:
    """By name."""
    statement = select(Artifact).where(Artifact.job_id == job_id).order_by(Artifact.name)
    return list(session.scalars(statement if kind is None else statement.where(Artifact.kind == kind)))


def checkpoints(session: Session, job_id: str) -> list[Artifact]:
    """The furthest first: what an attempt resumes from, and falls back on where that one is corrupt."""
    statement = select(Artifact).where(Artifact.job_id == job_id, Artifact.kind == "checkpoint")
    return list(session.scalars(statement.order_by(Artifact.step.desc(), Artifact.id.desc())))


def remove(session: Fenced, artifact: Artifact) -> str:
    """Forget a file, such as a corrupt checkpoint; its object key, to be deleted AFTER the commit."""
    session.execute(delete(Artifact).where(Artifact.id == artifact.id))
    return artifact.object_key


def prune_checkpoints(session: Fenced, job_id: str, keep: int) -> list[str]:
    """Forget all but the furthest ``keep`` checkpoints; their object keys, to be deleted AFTER the commit."""
    if keep < 1:
        raise ValueError(f"At least one checkpoint must be kept, not {keep}.")
    return [remove(session, artifact) for artifact in checkpoints(session, job_id)[keep:]]


def _find(session: Session, job_id: str, name: str) -> Artifact | None:
    if "\0" in name:
        return None
    return session.scalars(select(Artifact).where(Artifact.job_id == job_id, Artifact.name == name)).one_or_none()
