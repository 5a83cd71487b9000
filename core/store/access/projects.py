"""Projects: each sees its own jobs, models, data sets and keys, and none of another project."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict
from core.store.database.ids import new_id
from core.store.database.pagination import page
from core.store.database.tables import ProjectRow


def create(session: Session, name: str) -> ProjectRow:
    """Create a project. Raises Conflict (code ``name_taken``)."""
    project = ProjectRow(id=new_id("prj"), name=name)
    session.add(project)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"There already is a project named {name!r}.", code="name_taken") from error
    return project


def list_projects(
    session: Session, *, after: str | None = None, limit: int = 50
) -> tuple[list[ProjectRow], str | None]:
    """Return one page, newest first, and the next cursor or None."""
    return page(
        session, select(ProjectRow), ProjectRow.created_at, ProjectRow.id, after=after, limit=limit
    )
