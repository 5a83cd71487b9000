"""Aliases of models: ``champion`` of a series means one of its versions, and can be moved."""

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from core.store import project_events
from core.store.database.tables import ModelAliasRow, ModelRow, ModelSeriesRow
from core.store.database.upsert import insert
from core.store.registry import models, series, uploaded_items


def series_name(session: Session, project_id: str, reference: str) -> str:
    """Return the name of a series that is given by its name, or by any of its models.

    Raises NotFound.
    """
    if "\0" not in reference and series.exists(session, project_id, reference):
        return reference
    return uploaded_items.get(session, ModelRow, project_id, reference).series


def set_alias(session: Session, project_id: str, name: str, alias: str, reference: str) -> ModelRow:
    """Let an alias of the series ``name`` mean a model, whatever it meant before.

    ``reference``: the model, as in a job. Raises Invalid where there is no such model, it is not
    ready, or it is of another series.
    """
    _lock(session, project_id, name)
    model_id = models.find_usable(session, project_id, reference, "model").id
    model = uploaded_items.get(session, ModelRow, project_id, model_id, lock=True)
    if model.series != name:
        message = (
            f"{uploaded_items.label(model)} is of the series {model.series!r}, and this is an "
            f"alias of {name!r}."
        )
        raise Invalid.field("model", message=message)
    former = _find_model(session, project_id, name, alias)
    if former is not None and former.id == model.id:
        return model
    statement = insert(session, ModelAliasRow).values(
        project_id=project_id, series=name, alias=alias, model_id=model.id
    )
    primary_key = [ModelAliasRow.project_id, ModelAliasRow.series, ModelAliasRow.alias]
    session.execute(
        statement.on_conflict_do_update(index_elements=primary_key, set_={"model_id": model.id})
    )
    for changed in (model, former):
        if changed is not None:
            _record_change(session, changed)
    return model


def remove_alias(session: Session, project_id: str, name: str, alias: str) -> ModelRow:
    """Remove an alias; return the model that it meant. Raises NotFound."""
    _lock(session, project_id, name)
    model = _find_model(session, project_id, name, alias)
    if model is None:
        raise NotFound(f"The series {name!r} has no alias {alias!r}.")
    session.execute(delete(ModelAliasRow).where(*_is_alias(project_id, name, alias)))
    _record_change(session, model)
    return model


def _record_change(session: Session, model: ModelRow) -> None:
    model.version += 1
    session.flush()
    project_events.record_upload(session, model, "changed")


def _lock(session: Session, project_id: str, name: str) -> None:
    """Lock the series until the transaction ends, so that its aliases change one at a time."""
    is_series = (ModelSeriesRow.project_id == project_id, ModelSeriesRow.name == name)
    session.execute(select(ModelSeriesRow.name).where(*is_series).with_for_update())


def _find_model(session: Session, project_id: str, name: str, alias: str) -> ModelRow | None:
    statement = (
        select(ModelRow)
        .join(ModelAliasRow, ModelAliasRow.model_id == ModelRow.id)
        .where(*_is_alias(project_id, name, alias))
        .with_for_update(of=ModelRow)
        .execution_options(populate_existing=True)
    )
    return session.scalars(statement).one_or_none()


def _is_alias(project_id: str, name: str, alias: str) -> tuple[ColumnElement[bool], ...]:
    return (
        ModelAliasRow.project_id == project_id,
        ModelAliasRow.series == name,
        ModelAliasRow.alias == alias,
    )
