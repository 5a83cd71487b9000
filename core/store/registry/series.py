"""Series of models: the versions of one name, and aliases for some of them.

A version is given to a model when it becomes ready, and is never given again. In a reference a
version is written ``digits-student@3``, or by its alias ``digits-student@champion``; no name of a
model has an ``@``.
"""

import re
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.store.database.tables import ModelAliasRow, ModelRow, ModelSeriesRow
from core.store.database.upsert import insert

_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def assign_version(session: Session, model: ModelRow) -> None:
    """Make the model the next version of its series, unless it is one already.

    Call this before other changes of the model are flushed: the series is locked until the
    transaction ends, and everybody locks a series before its models.
    """
    if model.series_version is not None:
        return
    with session.no_autoflush:
        statement = insert(session, ModelSeriesRow).values(
            project_id=model.project_id, name=model.series, last_version=1
        )
        counted = statement.on_conflict_do_update(
            index_elements=[ModelSeriesRow.project_id, ModelSeriesRow.name],
            set_={"last_version": ModelSeriesRow.last_version + 1},
        ).returning(ModelSeriesRow.last_version)
        model.series_version = session.scalars(
            counted, execution_options={"populate_existing": True}
        ).one()


def find_version(session: Session, project_id: str, reference: str) -> str | None:
    """Return the id of the live model that ``series@version`` or ``series@alias`` means, or None.

    None also where the reference has no ``@``.
    """
    name, separator, version = reference.rpartition("@")
    if not separator:
        return None
    statement = select(ModelRow.id).where(
        ModelRow.project_id == project_id, ModelRow.series == name, ModelRow.live()
    )
    if _VERSION.fullmatch(version):
        return session.scalars(statement.where(ModelRow.series_version == int(version))).first()
    is_alias = (
        ModelAliasRow.model_id == ModelRow.id,
        ModelAliasRow.project_id == project_id,
        ModelAliasRow.series == name,
        ModelAliasRow.alias == version,
    )
    return session.scalars(statement.where(*is_alias)).first()


def aliases_by_model(session: Session, model_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the sorted aliases of each of these models that has any."""
    statement = (
        select(ModelAliasRow.model_id, ModelAliasRow.alias)
        .where(ModelAliasRow.model_id.in_(model_ids))
        .order_by(ModelAliasRow.alias)
    )
    aliases: dict[str, list[str]] = {}
    for model_id, alias in session.execute(statement):
        aliases.setdefault(model_id, []).append(alias)
    return aliases


def exists(session: Session, project_id: str, name: str) -> bool:
    """Whether the project has had a version of this series."""
    return session.get(ModelSeriesRow, (project_id, name)) is not None


def explain_reference(session: Session, project_id: str, reference: str) -> str:
    """Return a sentence about the series that a reference without a model names; "" without one."""
    name = reference.rpartition("@")[0] or reference
    series = session.get(ModelSeriesRow, (project_id, name))
    if series is None:
        return ""
    is_alias = (ModelAliasRow.project_id == project_id, ModelAliasRow.series == name)
    aliases = session.scalars(select(ModelAliasRow.alias).where(*is_alias).limit(5)).all()
    examples = ", ".join(f"{name}@{version}" for version in (series.last_version, *sorted(aliases)))
    return f"The series {name!r} has versions up to {series.last_version}: write {examples}."
