"""Jobs beside each other: the settings in which they differ, and their accuracies by data set and
threat model, each against those of one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.paired_statistics import compare
from core.reportspec.accuracies import (
    CLEAN,
    Accuracies,
    AccuracyValue,
    DifferenceValue,
    Part,
    deciding_key,
    is_test_accuracy,
    pair,
    section_keys,
    threat_model_of,
    to_difference,
    to_value,
)
from core.reportspec.measures import Measure, describe
from core.reportspec.report import ThreatModelDescription
from core.reportspec.threat_model import ThreatModel

UNCOMPARED_SETTINGS = frozenset({"name", "metadata", "export", "license"})
"""Fields of a spec that change no result."""


class ComparedSetting(Part):
    path: str
    """As in a spec: method.covariance.weight."""
    values: list[Any]
    """One for each job, in their order; null where the job's spec does not set it."""


class ComparedSettings(Part):
    different: list[ComparedSetting]
    """ComparedSettings in which the jobs differ, in the order of specs."""
    equal: int
    """Number of settings that all jobs have, with equal values."""


class ComparisonRow(Part):
    job_id: str
    network: str
    """best, last, or model of an evaluation."""
    results: dict[str, AccuracyValue]
    """By the measure's key; without those that were not measured."""
    differences: dict[str, DifferenceValue]
    """To the base job, by the measure's key; empty for the base itself."""
    pareto: bool
    """Whether no other row is at least as good in both clean accuracy and the deciding measure,
    and better in one."""
    per_class: dict[str, list[float | None]] | None = None
    """By the measure's key, with `per_class=true`: accuracy of each class."""


class ComparisonSection(Part):
    """Jobs that were tested on one data set under one threat model."""

    dataset_id: str | None
    dataset: str | None
    threat_model: ThreatModelDescription | None
    """Null for jobs under no attack."""
    deciding: str
    """Key of the strongest attack: AutoAttack where it was run."""
    measures: list[str]
    """Keys of the columns: clean, then the attacks."""
    descriptions: dict[str, Measure]
    """What each key says."""
    comparisons: int
    """How many comparisons under the deciding measure are adjusted together."""
    rows: list[ComparisonRow]
    """In the order of the request."""


@dataclass(frozen=True)
class EvaluatedJob:
    """A job as a comparison reads it."""

    id: str
    dataset_id: str | None
    dataset: str | None
    """Its name."""
    spec: Mapping[str, Any]
    network: str
    accuracies: Accuracies


def differing_settings(jobs: Sequence[EvaluatedJob]) -> ComparedSettings:
    """Compare the specs path by path. A setting that is null counts as one that is not set."""
    flat = [dict(flatten(job.spec)) for job in jobs]
    paths = dict.fromkeys(path for settings in flat for path in settings)
    different = []
    for path in paths:
        values = [settings.get(path) for settings in flat]
        if any(value != values[0] for value in values):
            different.append(ComparedSetting(path=path, values=values))
    return ComparedSettings(different=different, equal=len(paths) - len(different))


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each setting of a spec; lists are values."""
    if not isinstance(value, Mapping):
        if value is not None:
            yield path, value
        return
    for name, item in value.items():
        if path or name not in UNCOMPARED_SETTINGS:
            yield from flatten(item, f"{path}.{name}" if path else name)


def comparison_sections(
    jobs: Sequence[EvaluatedJob], base_id: str, *, per_class: bool = False
) -> list[ComparisonSection]:
    """Return a section for each data set and threat model, those of most jobs first."""
    groups: dict[tuple[str | None, str | None], list[EvaluatedJob]] = {}
    for job in jobs:
        for threat in _threat_models(job):
            groups.setdefault((job.dataset_id, threat), []).append(job)
    threats = {key: model for job in jobs for key, model in _threat_models(job).items()}
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [
        _section(members, threats[threat], base_id, per_class) for (_, threat), members in ordered
    ]


def _threat_models(job: EvaluatedJob) -> dict[str | None, ThreatModel | None]:
    """Return the threat models of a job by key; None for a job that has only clean accuracy."""
    models: dict[str | None, ThreatModel | None] = {
        model.key: model
        for key in job.accuracies
        if is_test_accuracy(key) and (model := threat_model_of(key)) is not None
    }
    if not models and CLEAN in job.accuracies:
        return {None: None}
    return models


def _section(
    jobs: Sequence[EvaluatedJob], threat_model: ThreatModel | None, base_id: str, per_class: bool
) -> ComparisonSection:
    keys = [key for job in jobs for key in job.accuracies if is_test_accuracy(key)]
    measures = section_keys(keys, threat_model)
    deciding = deciding_key(measures) or CLEAN
    base = next((job for job in jobs if job.id == base_id), None)
    differences = {key: _differences(jobs, base, key) for key in measures}
    pareto = _pareto_front(jobs, deciding)
    rows = [
        ComparisonRow(
            job_id=job.id,
            network=job.network,
            results={
                key: to_value(job.accuracies[key]) for key in measures if key in job.accuracies
            },
            differences={
                key: differences[key][job.id] for key in measures if job.id in differences[key]
            },
            pareto=job.id in pareto,
            per_class=_per_class(job, measures) if per_class else None,
        )
        for job in jobs
    ]
    return ComparisonSection(
        dataset_id=jobs[0].dataset_id,
        dataset=jobs[0].dataset,
        threat_model=None if threat_model is None else describe_threat_model(threat_model),
        deciding=deciding,
        measures=measures,
        descriptions={key: describe(key) for key in measures},
        comparisons=sum(value.p is not None for value in differences[deciding].values()),
        rows=rows,
    )


def describe_threat_model(threat_model: ThreatModel) -> ThreatModelDescription:
    return ThreatModelDescription(
        norm=threat_model.norm, radius=threat_model.radius, title=threat_model.title
    )


def _differences(
    jobs: Sequence[EvaluatedJob], base: EvaluatedJob | None, key: str
) -> dict[str, DifferenceValue]:
    """Return each job's difference to the base under one measure, all adjusted together."""
    if base is None or key not in base.accuracies:
        return {}
    reference = base.accuracies[key]
    others = [job for job in jobs if job.id != base.id and key in job.accuracies]
    counts = {job.id: pair(job.accuracies[key], reference) for job in others}
    family = {job_id: pairs for job_id, pairs in counts.items() if pairs is not None}
    adjusted = dict(zip(family, compare(list(family.values())), strict=True))
    return {
        job.id: to_difference(job.accuracies[key], reference, counts[job.id], adjusted.get(job.id))
        for job in others
    }


def _pareto_front(jobs: Sequence[EvaluatedJob], deciding: str) -> set[str]:
    """Return the jobs that no other job dominates, of those that have both accuracies."""
    points = sorted(
        (
            (job.accuracies[CLEAN].value, job.accuracies[deciding].value, job.id)
            for job in jobs
            if CLEAN in job.accuracies and deciding in job.accuracies
        ),
        reverse=True,
    )
    front: set[str] = set()
    best: tuple[float, float] | None = None
    for clean, robust, job_id in points:
        # Sorted by clean accuracy: only one that holds more than all before it can be on the front.
        if best is None or robust > best[1] or (clean, robust) == best:
            front.add(job_id)
            best = (clean, robust)
    return front


def _per_class(job: EvaluatedJob, measures: Sequence[str]) -> dict[str, list[float | None]]:
    return {
        key: [None if share is None else round(share, 5) for share in shares]
        for key in measures
        if key in job.accuracies and (shares := job.accuracies[key].per_class) is not None
    }
