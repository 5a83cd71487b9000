"""Which results of a list of jobs may stand in one column: those of one section.

A section is a data set and a threat model, as in comparisons and leaderboards.
"""

from collections.abc import Iterable

from core.reportspec.accuracies import (
    Part,
    deciding_key,
    is_test_accuracy,
    section_keys,
    threat_model_of,
)
from core.reportspec.comparison import describe_threat_model
from core.reportspec.report import ThreatModelDescription
from core.reportspec.threat_model import ThreatModel


class ResultSection(Part):
    """Jobs that were tested on one data set under one threat model."""

    dataset_id: str | None
    threat_model: ThreatModelDescription
    jobs: int
    """How many of the jobs listed are in it."""
    deciding: str
    """Key of the attack that decides among them: the strongest that was run on any."""


def result_sections(tests: Iterable[tuple[str | None, Iterable[str]]]) -> list[ResultSection]:
    """Return the sections of these tests, that of most jobs first.

    ``tests``: of each job the id of its data set, and the keys of the results of one network.
    """
    keys_by_section: dict[tuple[str | None, str], list[set[str]]] = {}
    threat_models: dict[str, ThreatModel] = {}
    for dataset_id, keys in tests:
        test_keys = {key for key in keys if is_test_accuracy(key)}
        of_job = {model.key: model for key in test_keys if (model := threat_model_of(key))}
        threat_models |= of_job
        for threat in of_job:
            keys_by_section.setdefault((dataset_id, threat), []).append(test_keys)
    sections = [
        _section(dataset_id, threat_models[threat], key_sets)
        for (dataset_id, threat), key_sets in keys_by_section.items()
    ]
    return sorted(sections, key=lambda section: -section.jobs)


def _section(
    dataset_id: str | None, threat_model: ThreatModel, key_sets: list[set[str]]
) -> ResultSection:
    keys = section_keys(set[str]().union(*key_sets), threat_model)
    return ResultSection(
        dataset_id=dataset_id,
        threat_model=describe_threat_model(threat_model),
        jobs=len(key_sets),
        deciding=deciding_key(keys) or "",
    )
