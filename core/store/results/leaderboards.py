"""The leaderboard of a project: a section for each data set and threat model."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.reportspec.accuracies import (
    CLEAN,
    is_test_accuracy,
    section_keys,
    strength,
    threat_model_of,
)
from core.reportspec.leaderboard import LeaderboardSection, leaderboard_section
from core.reportspec.measures import describe
from core.reportspec.threat_model import Norm, ThreatModel, format_radius
from core.store.database.tables import DatasetRow
from core.store.results import reading

MAX_COMPARED = 200
"""Models of a section whose ranks are tested against each other: about 20,000 pairs."""
MAX_SECTIONS = 50


@dataclass(frozen=True)
class LeaderboardFilters:
    """Filters of sections. A field of None filters nothing."""

    dataset: str | None = None
    """An id or a name."""
    norm: Norm | None = None
    radius: float | None = None
    attack: str | None = None
    """A measure's key or the beginning of one, such as pgd-20: what the models are ranked by."""


@dataclass(frozen=True)
class _Group:
    """The keys of one data set under one threat model."""

    dataset_id: str
    dataset: str
    """Its name."""
    threat_model: ThreatModel | None
    keys: list[str]


def sections(
    session: Session, project_id: str, filters: LeaderboardFilters, limit: int
) -> list[LeaderboardSection]:
    """Return the sections, those of each data set by threat model, with ``limit`` models each.

    Raises NotFound for a data set that the project does not see.
    """
    dataset_id = None
    if filters.dataset is not None:
        dataset_id = _find_dataset(session, project_id, filters.dataset)
    keys: dict[str, list[str]] = {}
    for dataset, key in reading.keys_of_models(session, project_id, dataset_id):
        if is_test_accuracy(key):
            keys.setdefault(dataset, []).append(key)
    names = _dataset_names(session, list(keys))
    groups = (
        _Group(dataset, names.get(dataset, dataset), threat_model, in_section)
        for dataset, of_dataset in keys.items()
        for threat_model, in_section in _threat_models(of_dataset)
        if _matches(threat_model, filters)
    )
    all_sections = (_section(session, project_id, group, filters.attack, limit) for group in groups)
    return list(islice((section for section in all_sections if section is not None), MAX_SECTIONS))


def _find_dataset(session: Session, project_id: str, reference: str) -> str:
    visible = or_(DatasetRow.project_id == project_id, DatasetRow.project_id.is_(None))
    named = or_(DatasetRow.id == reference, DatasetRow.name == reference)
    statement = select(DatasetRow.id).where(visible, named)
    dataset_id = session.scalars(statement.order_by(DatasetRow.deleted_at.is_not(None))).first()
    if dataset_id is None:
        raise NotFound(f"There is no data set {reference[:100]!r} in this project.")
    return dataset_id


def _dataset_names(session: Session, dataset_ids: list[str]) -> dict[str, str]:
    statement = select(DatasetRow.id, DatasetRow.name).where(DatasetRow.id.in_(dataset_ids))
    return {row.id: row.name for row in session.execute(statement)}


def _threat_models(keys: list[str]) -> Iterator[tuple[ThreatModel | None, list[str]]]:
    """Yield each threat model with the keys of its section; None where nothing was attacked."""
    threats = {threat.key: threat for key in keys if (threat := threat_model_of(key)) is not None}
    if not threats:
        yield None, keys
    for threat in sorted(threats.values(), key=lambda threat: (threat.norm == "l2", threat.radius)):
        yield threat, section_keys(keys, threat)


def _matches(threat: ThreatModel | None, filters: LeaderboardFilters) -> bool:
    if filters.norm is not None and (threat is None or threat.norm != filters.norm):
        return False
    if filters.radius is None:
        return True
    return threat is not None and format_radius(threat.radius) == format_radius(filters.radius)


def _section(
    session: Session, project_id: str, group: _Group, attack: str | None, limit: int
) -> LeaderboardSection | None:
    """Return the section of a group; None where no model was measured under ``attack``."""
    deciding = None if attack is None else _find_attack(group.keys, attack)
    if attack is not None and deciding is None:
        return None
    model_ids = _strongest_models(session, project_id, group, deciding)
    models = reading.ranked_models(session, model_ids[:MAX_COMPARED], group.dataset_id, group.keys)
    teacher_ids = {model.teacher_id for model in models if model.teacher_id is not None}
    teachers = reading.accuracies_of_models(session, teacher_ids, group.dataset_id, group.keys)
    return leaderboard_section(
        (group.dataset_id, group.dataset),
        group.threat_model,
        models,
        reading.without_jobs(teachers),
        deciding=deciding,
        limit=limit,
        has_more=len(model_ids) > MAX_COMPARED,
    )


def _strongest_models(
    session: Session, project_id: str, group: _Group, deciding: str | None
) -> list[str]:
    """Return the models with the highest values under the deciding attack, then under weaker ones.

    One more than ``MAX_COMPARED``, where there are so many.
    """
    attacks = [key for key in group.keys if key != CLEAN or group.threat_model is None]
    attacks.sort(key=lambda key: (key == deciding, strength(key)), reverse=True)
    model_ids: dict[str, None] = {}
    for key in attacks:
        best = reading.best_models(session, project_id, group.dataset_id, key, MAX_COMPARED + 1)
        model_ids |= dict.fromkeys(best)
        if len(model_ids) > MAX_COMPARED:
            break
    return list(model_ids)[: MAX_COMPARED + 1]


def _find_attack(keys: list[str], attack: str) -> str | None:
    """Return the strongest of the keys that ``attack`` names: a key, pgd-20 or pgd."""
    named = [key for key in keys if attack in (key, key.partition("@")[0], describe(key).name)]
    return max(named, key=strength, default=None)
