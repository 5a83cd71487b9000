"""Lists of jobs and models by their results: sorted by one, filtered by bounds, found by words.

Any of these may match a few rows or nearly all, and no index knows which with all other filters.
So each is first asked for its first ``MAX_FEW`` matches. If there are no more, the list is made of
these; otherwise it is read in its own order, in which the next match is never far.
"""

import base64
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Exists,
    Select,
    exists,
    false,
    literal,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from core.reportspec.result_columns import Comparison, ResultBound, ResultColumn
from core.store import search_words
from core.store.database.pagination import invalid_cursor
from core.store.database.tables import JobResultRow, JobRow, ModelRow, SearchWordRow
from core.store.database.unindexed import unindexed

MAX_FEW = 2000
"""Items that are named by their ids and sorted for one page."""
MAX_PROBED = 500
"""Items that are looked at, to find out whether a list sorted by a result has few."""
MAX_WALK = 20_000
"""Results that are read in their order to fill one page."""
LAST_CHARACTER = "\U0010ffff"
COMPARISONS: dict[Comparison, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_ItemId = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
_Value = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Time = Annotated[int, Field(ge=0, lt=2**62, strict=True)]
_cursor: TypeAdapter[tuple[Literal["value"], float, str] | tuple[Literal["time"], int, str]] = (
    TypeAdapter(tuple[Literal["value"], _Value, _ItemId] | tuple[Literal["time"], _Time, _ItemId])
)
Cursor = tuple[str, float | int, str]


@dataclass(frozen=True)
class ListedItems:
    """Jobs or models: their columns, and the column of a result that names one."""

    table: type[JobRow] | type[ModelRow]
    id: InstrumentedAttribute[str]
    created_at: InstrumentedAttribute[int]
    owner: InstrumentedAttribute[Any]

    def has_result(
        self, column: ResultColumn, result: type[JobResultRow] = JobResultRow
    ) -> list[ColumnElement[bool]]:
        """Return conditions on a row of results: it is in this column, of whatever item."""
        conditions: list[ColumnElement[bool]] = [result.key == column.key]
        if self.table is ModelRow:
            return [*conditions, result.model_id.is_not(None)]
        is_main = column.network != "last"
        conditions.append(result.is_main == (true() if is_main else false()))
        if column.network is not None:
            conditions.append(result.network == column.network)
        return conditions

    def own_result(self, column: ResultColumn, *more: Callable[[Any], Any]) -> Exists:
        """Return a condition on an item: it has a result in this column that meets ``more``."""
        result = aliased(JobResultRow)
        owner = getattr(result, self.owner.key)
        conditions = [owner == self.id, *self.has_result(column, result)]
        return exists().where(*conditions, *(condition(result) for condition in more))


JOBS = ListedItems(JobRow, JobRow.id, JobRow.created_at, JobResultRow.job_id)
MODELS = ListedItems(ModelRow, ModelRow.id, ModelRow.created_at, JobResultRow.model_id)


@dataclass(frozen=True)
class Matches:
    """Conditions on the items of a list by their results and words."""

    conditions: list[ColumnElement[bool]]
    is_few: bool
    """Whether one of them names at most ``MAX_FEW`` items by their ids."""


@dataclass(frozen=True)
class Conditions:
    """The conditions on the items of a list that is sorted by a result."""

    indexed: list[ColumnElement[bool]]
    """As indexes on the items serve them."""
    of_measured: list[ColumnElement[bool]]
    """The same, as indexes on the items with results serve them."""
    unindexed: list[ColumnElement[bool]]
    """The same, as no index on the items serves them."""
    bounds: Sequence[ResultBound]
    """On the result that the list is sorted by; those on others are among the conditions."""
    is_filtered: bool
    """Whether there is any besides the project's and the bounds."""
    is_few: bool
    """Whether one of them names at most ``MAX_FEW`` items by their ids."""


def match(
    session: Session,
    items: ListedItems,
    project_id: str,
    bounds: Sequence[ResultBound],
    text: str | None,
) -> Matches:
    """Return the conditions of these bounds, and of words that begin as those of ``text``."""
    matches = [_meets(session, items, project_id, bound) for bound in bounds]
    if text is not None:
        words = search_words.query_words(text)
        matches += [_has_word(session, items, project_id, word) for word in words]
        if not words:
            matches.append(Matches([false()], is_few=True))
    return join(matches)


def join(matches: Sequence[Matches]) -> Matches:
    """Return the conditions of all, any of which may name a few items."""
    return Matches(
        [condition for part in matches for condition in part.conditions],
        any(part.is_few for part in matches),
    )


def _meets(session: Session, items: ListedItems, project_id: str, bound: ResultBound) -> Matches:
    def is_within(result: Any) -> ColumnElement[bool]:
        within: ColumnElement[bool] = COMPARISONS[bound.comparison](result.value, bound.value)
        return within

    of_project = JobResultRow.project_id == project_id
    in_column = items.has_result(bound.column)
    return few_or_exists(
        session,
        items.id,
        select(items.owner).where(of_project, *in_column, is_within(JobResultRow)),
        items.own_result(bound.column, is_within),
    )


def _has_word(session: Session, items: ListedItems, project_id: str, word: str) -> Matches:
    begins = (SearchWordRow.word >= word, SearchWordRow.word < word + LAST_CHARACTER)
    of_project = (
        SearchWordRow.project_id == project_id,
        SearchWordRow.noun == search_words.noun_of(items.table),
    )
    return few_or_exists(
        session,
        items.id,
        select(SearchWordRow.item_id).where(*of_project, *begins),
        exists().where(SearchWordRow.item_id == items.id, *begins),
    )


def few_or_exists(
    session: Session, item_id: InstrumentedAttribute[str], ids: Select[Any], matches: Exists
) -> Matches:
    """Return a condition that names the items, if they are few, or else looks at each.

    ``ids``: selects the ids of the items that match.
    """
    named = few(session, item_id, ids)
    return named if named.is_few else Matches([matches], is_few=False)


def few(session: Session, item_id: InstrumentedAttribute[str], ids: Select[Any]) -> Matches:
    """Return a condition that names the items, if they are few, or else none."""
    first = session.scalars(ids.limit(MAX_FEW + 1)).all()
    if len(first) > MAX_FEW:
        return Matches([], is_few=False)
    return Matches([item_id.in_(set(first))], is_few=True)


# -- sorted by a result


@dataclass(frozen=True)
class SortedList:
    """A list sorted by a result. Rows have the columns of ``statement`` and those of ``_place``."""

    items: ListedItems
    statement: Select[Any]
    """What is selected of the items, without conditions."""
    project_id: str
    column: ResultColumn
    descending: bool
    conditions: Conditions

    def page(
        self, session: Session, *, after: str | None, limit: int
    ) -> tuple[list[Any], str | None]:
        """Return up to ``limit`` rows after the cursor, and the next cursor or None.

        Items without the result come last, in both directions, the newest first. Raises Invalid
        (code ``invalid_cursor``) for a cursor that no such page returned.
        """
        cursor = None if after is None else _decode(after)
        rows: list[Any] = []
        if cursor is None or cursor[0] == "value":
            rows = self._with_value(session, cursor, limit + 1)
            cursor = None
        if len(rows) <= limit and not self.conditions.bounds:
            rows += self._without_value(session, cursor, limit + 1 - len(rows))
        if len(rows) <= limit:
            return rows, None
        return rows[:limit], _encode(rows[limit - 1])

    def _with_value(self, session: Session, cursor: Cursor | None, count: int) -> list[Any]:
        place = (JobResultRow.value, self.items.owner)
        in_range = self._in_range(place, cursor)
        few = self._few(session)
        if few is not None:
            return self._sorted(session, few, in_range, count)
        in_order = self._joined(*place).where(
            JobResultRow.project_id == self.project_id, *in_range, *self.conditions.unindexed
        )
        end = self._end_of_walk(session, cursor) if self.conditions.is_filtered else None
        if end is None:
            return list(session.execute(in_order.limit(count)))
        is_behind_end = self._is_behind(place, end)
        rows = list(session.execute(in_order.where(~is_behind_end).limit(count)))
        if len(rows) == count:
            return rows
        # Few of the results are of these items: look at each item.
        return self._sorted(session, self.conditions.of_measured, in_range, count)

    def _few(self, session: Session) -> list[ColumnElement[bool]] | None:
        """Return conditions that name the items by their ids, if few of them have any results."""
        if self.conditions.is_few:
            return self.conditions.indexed
        if not self.conditions.is_filtered:
            return None
        ids = select(self.items.id).where(*self.conditions.of_measured)
        first = session.scalars(ids.limit(MAX_PROBED + 1)).all()
        return None if len(first) > MAX_PROBED else [self.items.id.in_(first)]

    def _sorted(
        self,
        session: Session,
        conditions: list[ColumnElement[bool]],
        in_range: list[ColumnElement[bool]],
        count: int,
    ) -> list[Any]:
        """Return rows of these items, which are sorted, and not read in the results' order."""
        statement = self._joined(unindexed(JobResultRow.value), self.items.owner)
        statement = statement.where(*conditions, *in_range)
        return list(session.execute(statement.limit(count)))

    def _in_range(self, place: tuple[Any, Any], cursor: Cursor | None) -> list[ColumnElement[bool]]:
        """Return conditions on a result: it is within the bounds, and behind the cursor."""
        conditions = [
            COMPARISONS[bound.comparison](JobResultRow.value, bound.value)
            for bound in self.conditions.bounds
        ]
        return conditions if cursor is None else [*conditions, self._is_behind(place, cursor[1:])]

    def _joined(self, value: Any, owner: Any) -> Select[Any]:
        order = (value.desc(), owner.desc()) if self.descending else (value, owner)
        return (
            self._place(value)
            .join(JobResultRow, owner == self.items.id)
            .where(*self.items.has_result(self.column))
            .order_by(*order)
        )

    def _place(self, value: Any) -> Select[Any]:
        return self.statement.add_columns(
            value.label("sort_value"),
            self.items.created_at.label("sort_time"),
            self.items.id.label("sort_id"),
        )

    def _is_behind(self, place: tuple[Any, Any], values: Sequence[Any]) -> ColumnElement[bool]:
        key = tuple_(*place)
        last = tuple_(*(literal(value) for value in values))
        return key < last if self.descending else key > last

    def _end_of_walk(self, session: Session, cursor: Cursor | None) -> tuple[float, str] | None:
        """Return the place of the last result to read; None where there are not so many."""
        place = (JobResultRow.value, self.items.owner)
        order = [column.desc() for column in place] if self.descending else list(place)
        statement = select(*place).where(
            JobResultRow.project_id == self.project_id,
            *self.items.has_result(self.column),
            *self._in_range(place, cursor),
        )
        row = session.execute(statement.order_by(*order).offset(MAX_WALK).limit(1)).first()
        return None if row is None else (row[0], row[1])

    def _without_value(self, session: Session, cursor: Cursor | None, count: int) -> list[Any]:
        created_at = self.items.created_at
        is_few = self.conditions.is_few
        place = (unindexed(created_at) if is_few else created_at, self.items.id)
        statement = self._place(literal(None)).where(
            *self.conditions.indexed, ~self.items.own_result(self.column)
        )
        if cursor is not None:
            last = tuple_(literal(cursor[1]), literal(cursor[2]))
            statement = statement.where(tuple_(*place) < last)
        newest_first = statement.order_by(*(column.desc() for column in place))
        return list(session.execute(newest_first.limit(count)))


def _encode(row: Any) -> str:
    if row.sort_value is None:
        cursor: Cursor = ("time", row.sort_time, row.sort_id)
    else:
        cursor = ("value", float(row.sort_value), row.sort_id)
    text = _cursor.dump_json(cursor)  # type: ignore[arg-type]
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _decode(text: str) -> Cursor:
    """Raises Invalid (``invalid_cursor``)."""
    try:
        return _cursor.validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError as error:
        raise invalid_cursor() from error
