"""Lists of models: filtered, and sorted by time or by a result."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core.errors import Invalid
from core.reportspec.result_columns import ResultBound, ResultColumn
from core.store import jobs
from core.store.database.pagination import page
from core.store.database.tables import ModelRow
from core.store.database.unindexed import unindexed
from core.store.registry.models import has_series_and_alias
from core.store.results import lists
from core.store.results.lists import Conditions, Matches, SortedList


@dataclass(frozen=True)
class ModelFilters:
    """Filters of a list of models. An empty field filters nothing."""

    series: str | None = None
    alias: str | None = None
    bounds: tuple[ResultBound, ...] = ()
    """On the models' current results, all of which a model must meet."""
    text: str | None = None
    """Words, each of which one of the model's id, name and metadata must begin with."""
    deleted: bool = False
    """Whether only deleted models match, which match no other list."""


def list_models(
    session: Session,
    project_id: str,
    filters: ModelFilters,
    *,
    sort: str = "-created_at",
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[ModelRow], str | None]:
    """Return one page and the cursor of the next page, which is None at the end.

    ``sort``: created_at, -created_at, or a result's column, in whose list models without the result
    come last. Raises Invalid for any other, and for a cursor that no page returned.
    """
    _check_bounds(filters)
    if sort not in ("created_at", "-created_at"):
        sorted_list = _sort_by_result(session, project_id, filters, sort)
        rows, next_cursor = sorted_list.page(session, after=after, limit=limit)
        return [row[0] for row in rows], next_cursor
    matches = lists.match(session, lists.MODELS, project_id, filters.bounds, filters.text)
    return page(
        session,
        select(ModelRow).where(*_conditions(project_id, filters, matches)),
        ModelRow.created_at,
        ModelRow.id,
        after=after,
        limit=limit,
        newest_first=sort == "-created_at",
        is_few=matches.is_few,
    )


def count_models(session: Session, project_id: str, filters: ModelFilters) -> int:
    """Return how many of the project's models match. Raises Invalid as ``list_models`` does."""
    _check_bounds(filters)
    matches = lists.match(session, lists.MODELS, project_id, filters.bounds, filters.text)
    conditions = _conditions(project_id, filters, matches)
    statement = select(func.count()).select_from(ModelRow).where(*conditions)
    return session.scalar(statement) or 0


def _sort_by_result(
    session: Session, project_id: str, filters: ModelFilters, sort: str
) -> SortedList:
    """Return the list of these models by a result. Raises Invalid for what names none."""
    column = jobs.parse_sort_column(sort)
    _require_one_network(column, "sort")
    other_bounds = [bound for bound in filters.bounds if bound.column != column]
    matches = lists.match(session, lists.MODELS, project_id, other_bounds, filters.text)
    indexed = _conditions(project_id, filters, matches)
    conditions = Conditions(
        indexed=indexed,
        of_measured=indexed,
        unindexed=_conditions(project_id, filters, matches, is_indexed=False),
        bounds=[bound for bound in filters.bounds if bound.column == column],
        is_filtered=filters != ModelFilters(bounds=filters.bounds) or bool(other_bounds),
        is_few=matches.is_few,
    )
    return SortedList(
        lists.MODELS, select(ModelRow), project_id, column, sort.startswith("-"), conditions
    )


def _conditions(
    project_id: str, filters: ModelFilters, matches: Matches, *, is_indexed: bool = True
) -> list[ColumnElement[bool]]:
    # All indexes on filters begin with the project: without it, none of them is of use.
    project = ModelRow.project_id if is_indexed and not matches.is_few else None
    in_project = unindexed(ModelRow.project_id) if project is None else project
    return [
        in_project == project_id,
        ~ModelRow.live() if filters.deleted else ModelRow.live(),
        *has_series_and_alias(filters.series, filters.alias),
        *matches.conditions,
    ]


def _check_bounds(filters: ModelFilters) -> None:
    """Raises Invalid."""
    for bound in filters.bounds:
        _require_one_network(bound.column, "result")


def _require_one_network(column: ResultColumn, parameter: str) -> None:
    """Raises Invalid: a model is one network, and a job has several."""
    if column.network is not None:
        message = f"A model is one network: write {column.key}, without {column.network}."
        raise Invalid.field(parameter, message=message)
