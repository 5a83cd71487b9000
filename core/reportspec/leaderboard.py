"""Models ranked by data set and threat model, each with a range of ranks that the test images
support.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.paired_statistics import ERROR_RATE, compare, holm
from core.reportspec.accuracies import (
    Accuracies,
    Accuracy,
    AccuracyValue,
    DifferenceValue,
    Part,
    deciding_key,
    is_test_accuracy,
    pair,
    section_keys,
    strength,
    to_difference,
    to_value,
)
from core.reportspec.comparison import describe_threat_model
from core.reportspec.measures import Measure, describe
from core.reportspec.report import ThreatModelDescription
from core.reportspec.threat_model import ThreatModel


class RankRange(Part):
    """The ranks that a model may have: from one more than the number of significantly better models
    to the number of those that are not significantly worse."""

    low: int
    high: int


class LeaderboardRow(Part):
    model_id: str
    name: str
    rank: RankRange | None
    """Null for a model that the deciding attack of the section was not run on."""
    results: dict[str, AccuracyValue]
    """By the measure's key; without those that were not measured."""
    deciding: str
    """Key of the strongest attack that was run on this model."""
    teacher_id: str | None
    """The model that it was distilled from."""
    difference: DifferenceValue | None
    """To its teacher, under the section's deciding attack; null without a teacher that was
    measured."""
    architecture: str
    parameters: int | None
    method: str | None
    """By which it was trained here."""
    job_id: str | None
    """The job that trained it; null for an uploaded model."""
    measured_by: str | None
    """The job that measured it under its deciding attack."""


class LeaderboardSection(Part):
    """Models that were tested on one data set under one threat model."""

    dataset_id: str
    dataset: str
    threat_model: ThreatModelDescription | None
    """Null where nothing was attacked."""
    deciding: str
    """Key of the attack by which the models are ranked: the strongest that was run on any."""
    measures: list[str]
    """Keys of the columns: clean, then the attacks."""
    descriptions: dict[str, Measure]
    """What each key says."""
    rows: list[LeaderboardRow]
    """The highest accuracy under the deciding attack first; then the models without it."""
    compared: int
    """How many models the ranks are among: the best ones, where the section has more."""
    has_more: bool
    """Whether the section has more models than rows."""


class Leaderboard(Part):
    sections: list[LeaderboardSection]
    """Unlike data sets and threat models are never in one ranking."""


@dataclass(frozen=True)
class RankedModel:
    """A model as a leaderboard reads it."""

    id: str
    name: str
    architecture: str
    parameters: int | None
    method: str | None
    job_id: str | None
    teacher_id: str | None
    accuracies: Accuracies
    measured_by: Mapping[str, str]
    """The job that measured it, by key."""


def rank_ranges(accuracies: Sequence[Accuracy]) -> list[RankRange]:
    """Return the range of each rank. All pairs are tested, and adjusted together by Holm's method.

    Paired where that is possible; a pair that cannot be compared counts as not distinguishable.
    """
    pairs = [
        (first, second, counts)
        for first in range(len(accuracies))
        for second in range(first + 1, len(accuracies))
        if (counts := pair(accuracies[first], accuracies[second])) is not None
    ]
    better = [0] * len(accuracies)
    worse = [0] * len(accuracies)
    adjusted = holm([counts.p for _, _, counts in pairs])
    for (first, second, counts), p in zip(pairs, adjusted, strict=True):
        if p > ERROR_RATE or counts.difference == 0:
            continue
        winner, loser = (first, second) if counts.difference > 0 else (second, first)
        better[loser] += 1
        worse[winner] += 1
    return [
        RankRange(low=1 + above, high=len(accuracies) - below)
        for above, below in zip(better, worse, strict=True)
    ]


def leaderboard_section(
    dataset: tuple[str, str],
    threat_model: ThreatModel | None,
    models: Sequence[RankedModel],
    teachers: Mapping[str, Accuracies],
    *,
    deciding: str | None,
    limit: int,
    has_more: bool,
) -> LeaderboardSection | None:
    """Return the section of these models; None where none of them was measured.

    ``dataset``: id and name. ``teachers``: accuracies of teachers on the data set, by model.
    ``deciding``: the attack that the caller ranks by; by default the strongest.
    """
    keys = [key for model in models for key in model.accuracies if is_test_accuracy(key)]
    measures = section_keys(keys, threat_model)
    deciding = deciding if deciding in measures else deciding_key(measures)
    if deciding is None:
        return None
    ranked = [model for model in models if deciding in model.accuracies]
    rows = _rows(models, ranked, teachers, measures, deciding)
    return LeaderboardSection(
        dataset_id=dataset[0],
        dataset=dataset[1],
        threat_model=None if threat_model is None else describe_threat_model(threat_model),
        deciding=deciding,
        measures=measures,
        descriptions={key: describe(key) for key in measures},
        rows=rows[:limit],
        compared=len(ranked),
        has_more=has_more or len(rows) > limit,
    )


def _rows(
    models: Sequence[RankedModel],
    ranked: list[RankedModel],
    teachers: Mapping[str, Accuracies],
    measures: Sequence[str],
    deciding: str,
) -> list[LeaderboardRow]:
    """Return the rows of the ranked models, the best first, then those of the others."""
    ranked.sort(key=lambda model: (-model.accuracies[deciding].value, model.id))
    ranges = rank_ranges([model.accuracies[deciding] for model in ranked])
    ranks = {model.id: span for model, span in zip(ranked, ranges, strict=True)}
    differences = _teacher_differences(ranked, teachers, deciding)
    others = sorted(
        (model for model in models if model.id not in ranks),
        key=lambda model: (strength(_own_key(model, measures)), model.id),
        reverse=True,
    )
    return [
        _row(model, measures, ranks.get(model.id), differences.get(model.id))
        for model in (*ranked, *others)
    ]


def _row(
    model: RankedModel,
    measures: Sequence[str],
    rank: RankRange | None,
    difference: DifferenceValue | None,
) -> LeaderboardRow:
    own_key = _own_key(model, measures)
    return LeaderboardRow(
        model_id=model.id,
        name=model.name,
        rank=rank,
        results={
            key: to_value(model.accuracies[key]) for key in measures if key in model.accuracies
        },
        deciding=own_key,
        teacher_id=model.teacher_id,
        difference=difference,
        architecture=model.architecture,
        parameters=model.parameters,
        method=model.method,
        job_id=model.job_id,
        measured_by=model.measured_by.get(own_key),
    )


def _own_key(model: RankedModel, measures: Sequence[str]) -> str:
    """Return the strongest attack of the section that was run on this model."""
    return max((key for key in measures if key in model.accuracies), key=strength)


def _teacher_differences(
    models: Sequence[RankedModel], teachers: Mapping[str, Accuracies], deciding: str
) -> dict[str, DifferenceValue]:
    """Return each student's difference to its teacher, all adjusted together."""
    references = {
        model.id: teachers[model.teacher_id][deciding]
        for model in models
        if model.teacher_id is not None and deciding in teachers.get(model.teacher_id, {})
    }
    students = [model for model in models if model.id in references]
    counts = {
        model.id: pair(model.accuracies[deciding], references[model.id]) for model in students
    }
    family = {model_id: pairs for model_id, pairs in counts.items() if pairs is not None}
    adjusted = dict(zip(family, compare(list(family.values())), strict=True))
    return {
        model.id: to_difference(
            model.accuracies[deciding],
            references[model.id],
            counts[model.id],
            adjusted.get(model.id),
        )
        for model in students
    }
