"""What models and data sets have in common: a unique name, an upload that a job opens, deletion.

Every function takes the table, ``ModelRow`` or ``DatasetRow``, or a row of it. What only one of the
two has is in ``models.py`` and ``datasets.py``.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from core.store import jobs, project_events, search_words
from core.store.database.clock import database_now
from core.store.database.fence import FencedSession
from core.store.database.ids import is_id
from core.store.database.pagination import page
from core.store.database.tables import DatasetRow, ModelRow
from core.store.lifecycle.edits import apply_edit
from core.store.registry import series

Row = TypeVar("Row", ModelRow, DatasetRow)


def get(
    session: Session, table: type[Row], project_id: str, reference: str, *, lock: bool = False
) -> Row:
    """Return the row with this id or name. Raises NotFound, also for a row of another project."""
    row = find(session, table, project_id, reference, lock=lock)
    if row is None:
        raise NotFound(not_found_message(session, table, project_id, reference))
    return row


def not_found_message(session: Session, table: type[Row], project_id: str, reference: str) -> str:
    """Return the sentences for a reference that ``find`` does not find."""
    message = f"There is no {table.noun} {reference[:100]!r} in this project."
    if table is not ModelRow or "\0" in reference:
        return message
    return f"{message} {series.explain_reference(session, project_id, reference)}".rstrip()


def find(
    session: Session, table: type[Row], project_id: str, reference: str, *, lock: bool = False
) -> Row | None:
    """Return the row with this id or name, or None. An id takes precedence over an equal name.

    A model is also found as ``series@version`` and as ``series@alias``.
    """
    if "\0" in reference:
        return None
    if table is ModelRow:
        reference = series.find_version(session, project_id, reference) or reference
    has_id_or_name = or_(table.id == reference, table.name == reference)
    statement = select(table).where(_is_visible(table, project_id), has_id_or_name)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    matches = session.scalars(statement).all()
    first = matches[0] if matches else None
    return next((row for row in matches if row.id == reference), first)


def list_items(
    session: Session,
    table: type[Row],
    project_id: str,
    *conditions: ColumnElement[bool],
    deleted: bool = False,
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[Row], str | None]:
    """Return one page, newest first, and the cursor of the next page, which is None at the end.

    ``deleted``: of those that ``restore`` would restore. Raises Invalid for a bad cursor.
    """
    statement = select(table).where(_is_listed(table, project_id, deleted), *conditions)
    return page(session, statement, table.created_at, table.id, after=after, limit=limit)


def count_items(
    session: Session,
    table: type[Row],
    project_id: str,
    *conditions: ColumnElement[bool],
    deleted: bool = False,
) -> int:
    """Return how many rows ``list_items`` would return on all pages."""
    is_listed = _is_listed(table, project_id, deleted)
    statement = select(func.count()).select_from(table).where(is_listed, *conditions)
    return session.scalar(statement) or 0


def _is_listed(table: type[Row], project_id: str, deleted: bool) -> ColumnElement[bool]:
    if deleted:
        return and_(table.project_id == project_id, ~table.live())
    return _is_visible(table, project_id)


def add(session: Session, row: Row) -> Row:
    """Insert a new row. A refused row of the same name is replaced, since it can never be used.

    Raises Conflict (code ``name_taken``) where the project already sees a row of this name.
    """
    name_taken = _name_taken(row)  # made first: a rollback expires the row's attributes
    _free_name(session, row, row.name)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise name_taken from error
    search_words.index(session, row)
    project_events.record_upload(session, row, "created")
    return row


def edit(session: Session, row: Row, patch: Mapping[str, Any]) -> bool:
    """Change name, notes and metadata of a row that is locked; return whether anything changed.

    ``patch``: a JSON merge patch. A refused row of the new name is replaced. Raises Invalid for too
    much metadata, and Conflict (codes ``built_in``, ``name_taken``).
    """
    if row.project_id is None:
        raise _built_in(row)
    name = patch.get("name", row.name)
    name_taken = _name_taken(row, name)
    if name != row.name:
        _free_name(session, row, name)
    try:
        with session.begin_nested():
            fields = apply_edit(row, patch)
            row.version += bool(fields)
    except IntegrityError as error:
        raise name_taken from error
    if fields:
        search_words.index(session, row)
        project_events.record_upload(session, row, "changed")
    return bool(fields)


def label(row: ModelRow | DatasetRow) -> str:
    """Return how a sentence begins with this row: ``Data set 'digits'``."""
    return f"{row.noun[0].upper()}{row.noun[1:]} {row.name!r}"


# -- its upload


def record_upload_progress(session: Session, table: type[Row], row_id: str) -> None:
    """Record that bytes of the upload have arrived just now, so that the collector leaves the row.

    Raises NotFound where the row no longer awaits an upload.
    """
    statement = (
        update(table)
        .where(table.id == row_id, table.status == "awaiting_upload", table.live())
        .values(upload_seen_at=database_now())
        .returning(table.id)
        .execution_options(synchronize_session=False)
    )
    if session.scalars(statement).one_or_none() is None:
        raise NotFound(f"The {table.noun} of this upload no longer exists.")


def begin_import(
    session: Session,
    row: Row,
    import_job_id: str,
    *,
    size: int | None = None,
    sha256: str | None = None,
) -> Row:
    """Hand the uploaded bytes to an import job: the row becomes ``importing``.

    Raises Conflict (code ``not_awaiting_upload``) in any state but ``awaiting_upload``.
    """
    table = type(row)
    statement = (
        update(table)
        .where(table.id == row.id, table.status == "awaiting_upload", table.live())
        .values(
            status="importing",
            import_job_id=import_job_id,
            size=size,
            sha256=sha256,
            version=table.version + 1,
        )
        .returning(table)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    importing: Row | None = session.scalars(statement).one_or_none()
    if importing is None:
        raise Conflict(f"{label(row)} is not awaiting an upload.", code="not_awaiting_upload")
    project_events.record_upload(session, importing, "status")
    return importing


def mark_ready(
    session: FencedSession,
    row: Row,
    description: BaseModel,
    *,
    object_key: str,
    size: int,
    sha256: str,
) -> Row:
    """Record the stored object of an import or a training job: the row becomes ``ready``."""
    row.status = "ready"
    row.problem = None
    row.description = description.model_dump(mode="json")
    row.object_key = object_key
    row.size = size
    row.sha256 = sha256
    row.version += 1
    session.flush()
    project_events.record_upload(session, row, "status")
    return row


# -- deletion


def delete_item(session: Session, table: type[Row], project_id: str, reference: str) -> Row:
    """Hide a row and free its name. ``restore`` undoes this until the collector removes the row.

    Raises NotFound, and Conflict for a row that comes with the program (code ``built_in``), is
    being imported (``importing``), has an alias (``has_alias``), or is needed by a job that has not
    ended (``in_use``).
    """
    row = get(session, table, project_id, reference, lock=True)
    if row.project_id is None:
        raise _built_in(row)
    if row.status == "importing":
        raise Conflict(
            f"{label(row)} is being imported; cancel job {row.import_job_id} first.",
            code="importing",
        )
    aliases = series.aliases_by_model(session, [row.id]).get(row.id, [])
    if aliases:
        raise Conflict(
            f"{label(row)} is the {', '.join(aliases)} of its series; move or remove that alias "
            "first.",
            code="has_alias",
        )
    job_id = jobs.find_active_job(session, row.id)
    if job_id is not None:
        raise Conflict(
            f"{label(row)} is needed by job {job_id}, which has not ended.", code="in_use"
        )
    return _set_deleted_at(session, row, database_now())


def restore(session: Session, table: type[Row], project_id: str, row_id: str) -> Row:
    """Undo ``delete_item``.

    Raises NotFound where no deleted row has this id, and Conflict where its name is taken by now.
    """
    statement = (
        select(table)
        .where(table.id == row_id, table.project_id == project_id, ~table.live())
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = session.scalars(statement).one_or_none() if is_id(row_id) else None
    if row is None:
        raise NotFound(f"There is no deleted {table.noun} {row_id[:64]!r} in this project.")
    try:
        with session.begin_nested():
            return _set_deleted_at(session, row, None)
    except IntegrityError as error:
        raise _name_taken(row) from error


def _set_deleted_at(session: Session, row: Row, deleted_at: ColumnElement[int] | None) -> Row:
    row.deleted_at = deleted_at
    row.version += 1
    session.flush()
    session.refresh(row)
    project_events.record_upload(session, row, "restored" if deleted_at is None else "deleted")
    return row


def _is_visible(table: type[Row], project_id: str) -> ColumnElement[bool]:
    """Return a condition: the project's own rows, and data sets that have no project."""
    in_project = table.project_id == project_id
    if table is DatasetRow:
        in_project = or_(in_project, table.project_id.is_(None))
    return and_(table.live(), in_project)


def _free_name(session: Session, row: Row, name: str) -> None:
    """Remove a refused row of this name. Raises Conflict where a shared row has it."""
    table: type[Row] = type(row)
    same_name = (table.project_id == row.project_id, table.name == name, table.live())
    is_other = table.id != row.id
    statement = delete(table).where(*same_name, is_other, table.status == "refused")
    for refused in session.scalars(statement.returning(table)).all():
        search_words.forget(session, refused)
        project_events.record_upload(session, refused, "deleted")
    # The unique index covers a project's own names; rows without a project are checked here.
    shared = select(table.id).where(table.name == name, table.project_id.is_(None))
    if session.scalars(shared).first() is not None:
        raise _name_taken(row, name)


def _name_taken(row: ModelRow | DatasetRow, name: str | None = None) -> Conflict:
    """``name``: by default the row's own."""
    return Conflict(
        f"There already is a {row.noun} named {(name or row.name)!r}.", code="name_taken"
    )


def _built_in(row: ModelRow | DatasetRow) -> Conflict:
    return Conflict(
        f"{label(row)} comes with the program and is shared by all projects.", code="built_in"
    )
