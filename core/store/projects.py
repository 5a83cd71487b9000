"""Projects: each sees its own jobs, models, data sets and keys, and nothing of another's."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict
from core.store.database.ids import new_id
from core.store.database.pagination import page
from core.store.database.tables import ProjectRow


def create(session: Session, name: str) -> ProjectRow:
    """Raises Conflict (code ``name_taken``)."""
    project = ProjectRow(id=new_id("prj"), name=name)
    session.add(project)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"There is a project called {name!r} already.", code="name_taken") from error
    return project


def list_projects(
    session: Session, *, after: str | None = None, limit: int = 50
) -> tuple[list[ProjectRow], str | None]:
    """One page, newest first, and the cursor of the next; None at the end."""
    return page(
        session, select(ProjectRow), ProjectRow.created_at, ProjectRow.id, after=after, limit=limit
    )
