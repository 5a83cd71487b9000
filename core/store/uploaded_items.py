"""What models and data sets have in common: a name in a project, an upload that a job opens, deletion that can be undone."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from core.store import jobs
from core.store.database.clock import database_now
from core.store.database.fence import FencedSession
from core.store.database.ids import is_id
from core.store.database.pagination import page
from core.store.database.tables import DatasetRow, ModelRow

Row = TypeVar("Row", ModelRow, DatasetRow)


class UploadedItems(Generic[Row]):
    """The rows of one table; ``noun`` is what messages call one of them."""

    def __init__(self, table: type[Row], noun: str) -> None:
        self.table: type[Row] = table
        self.noun = noun

    def get(self, session: Session, project_id: str, reference: str, *, lock: bool = False) -> Row:
        """By id or by name. Raises NotFound, also for another project's."""
        row = self.find(session, project_id, reference, lock=lock)
        if row is None:
            raise NotFound(f"There is no {self.noun} {reference[:100]!r} in this project.")
        return row

    def find(
        self, session: Session, project_id: str, reference: str, *, lock: bool = False
    ) -> Row | None:
        if "\0" in reference:
            return None
        named = or_(self.table.id == reference, self.table.name == reference)
        statement = select(self.table).where(self._visible(project_id), named)
        if lock:
            statement = statement.with_for_update().execution_options(populate_existing=True)
        found = session.scalars(statement).all()
        return next((row for row in found if row.id == reference), found[0] if found else None)

    def page(
        self, session: Session, project_id: str, *, after: str | None = None, limit: int = 50
    ) -> tuple[list[Row], str | None]:
        """One page, newest first, and the cursor of the next; None at the end. Raises Invalid for a bad cursor."""
        statement = select(self.table).where(self._visible(project_id))
        return page(
            session, statement, self.table.created_at, self.table.id, after=after, limit=limit
        )

    def add(self, session: Session, row: Row) -> Row:
        """A new one. A refused one of its name makes way: it never was of use to anybody.

        Raises Conflict (code ``name_taken``) where the project can already see one of this name.
        """
        mine = (
            self.table.project_id == row.project_id,
            self.table.name == row.name,
            self.table.live(),
        )
        session.execute(delete(self.table).where(*mine, self.table.status == "refused"))
        taken = self._taken(row.name)
        everyones = select(self.table.id).where(
            self.table.name == row.name, self.table.project_id.is_(None)
        )
        if session.scalars(everyones).first() is not None:
            raise taken
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError as error:
            raise taken from error
        return row

    # -- its upload

    def renew_upload(self, session: Session, row_id: str) -> None:
        """Its upload moves. Raises NotFound where nobody awaits it any longer."""
        awaited = (
            self.table.id == row_id,
            self.table.status == "awaiting_upload",
            self.table.live(),
        )
        statement = (
            update(self.table)
            .where(*awaited)
            .values(upload_seen_at=database_now())
            .returning(self.table.id)
        )
        if (
            session.scalars(statement.execution_options(synchronize_session=False)).one_or_none()
            is None
        ):
            raise NotFound(f"The {self.noun} that this upload was for is gone.")

    def begin_import(
        self,
        session: Session,
        row: Row,
        import_job_id: str,
        *,
        size: int | None = None,
        sha256: str | None = None,
    ) -> Row:
        """A job will open its bytes, wherever they are. Raises Conflict unless it was awaiting them."""
        statement = (
            update(self.table)
            .where(
                self.table.id == row.id, self.table.status == "awaiting_upload", self.table.live()
            )
            .values(
                status="importing",
                import_job_id=import_job_id,
                size=size,
                sha256=sha256,
                version=self.table.version + 1,
            )
            .returning(self.table)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        found: Row | None = session.scalars(statement).one_or_none()
        if found is None:
            raise Conflict(
                f"{self.called(row)} is not awaiting an upload.", code="not_awaiting_upload"
            )
        return found

    def make_ready(
        self,
        session: FencedSession,
        row: Row,
        description: BaseModel,
        *,
        object_key: str,
        size: int,
        sha256: str,
    ) -> Row:
        row.status = "ready"
        row.problem = None
        row.description = description.model_dump(mode="json")
        row.object_key = object_key
        row.size = size
        row.sha256 = sha256
        row.version += 1
        session.flush()
        return row

    def mark_refused(self, session: Session, row: Row, problem: dict[str, Any]) -> Row:
        """``problem`` is the document that a 422 would carry: at least ``code`` and ``detail``."""
        row.status = "refused"
        row.problem = problem
        row.version += 1
        session.flush()
        return row

    # -- deletion

    def delete(self, session: Session, project_id: str, reference: str) -> Row:
        """Hide it, and free its name; ``restore`` undoes that until the collector has taken it.

        Raises NotFound; Conflict for what comes with the program, is being imported, or is needed by a job that has not ended.
        """
        row = self.get(session, project_id, reference, lock=True)
        if row.project_id is None:
            raise Conflict(
                f"{self.called(row)} comes with the program; everyone may use it.", code="built_in"
            )
        if row.status == "importing":
            raise Conflict(
                f"{self.called(row)} is being imported; cancel job {row.import_job_id} first.",
                code="importing",
            )
        user = jobs.find_active_user(session, row.id)
        if user is not None:
            raise Conflict(
                f"{self.called(row)} is needed by job {user}, which has not ended.", code="in_use"
            )
        return self._changed(session, row, deleted_at=database_now())

    def restore(self, session: Session, project_id: str, row_id: str) -> Row:
        """Undo ``delete``. Raises NotFound where there is no deleted one of this id; Conflict where its name is taken."""
        deleted = (self.table.id == row_id, self.table.project_id == project_id, ~self.table.live())
        statement = (
            select(self.table)
            .where(*deleted)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        row = session.scalars(statement).one_or_none() if is_id(row_id) else None
        if row is None:
            raise NotFound(f"There is no deleted {self.noun} {row_id[:64]!r} in this project.")
        try:
            with session.begin_nested():
                return self._changed(session, row, deleted_at=None)
        except IntegrityError as error:
            raise self._taken(row.name) from error

    def _changed(self, session: Session, row: Row, deleted_at: Any) -> Row:
        row.deleted_at = deleted_at
        row.version += 1
        session.flush()
        session.refresh(row)
        return row

    def _visible(self, project_id: str) -> ColumnElement[bool]:
        """Without a project (a data set may be): everyone's."""
        mine = self.table.project_id == project_id
        return and_(
            self.table.live(),
            or_(mine, self.table.project_id.is_(None)) if self.table is DatasetRow else mine,
        )

    def _taken(self, name: str) -> Conflict:
        return Conflict(f"There already is a {self.noun} named {name!r}.", code="name_taken")

    def called(self, row: Row) -> str:
        """As a sentence begins with it."""
        return f"{self.noun[0].upper()}{self.noun[1:]} {row.name!r}"
