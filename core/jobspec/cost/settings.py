"""Which jobs cost the same."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from core.jobspec.cost.passes import training_passes
from core.jobspec.data import DatasetDescription
from core.jobspec.network import Network
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedSpec

IRRELEVANT_FIELDS = frozenset({"name", "metadata", "license", "seed", "preset"})
"""Fields of a spec that change neither time nor memory."""
NETWORK_FIELDS = frozenset({"teacher", "model", "reference", "start_from"})
"""Fields that name a stored network: what counts is its architecture."""


@dataclass(frozen=True)
class TimeSettings:
    """What the time of a job depends on, beside its networks and the device."""

    method: str | None
    """None for an evaluation, which has no training passes either."""
    precision: str
    compiled: bool
    batch_size: int
    image_side: int
    """The larger of height and width, in pixels."""
    training_passes: int


def time_settings(spec: ResolvedSpec, dataset: DatasetDescription) -> TimeSettings:
    image_side = max(dataset.height, dataset.width)
    if isinstance(spec, ResolvedEvaluationJobSpec):
        batch_size = spec.evaluation.batch_size
        return TimeSettings(None, "fp32", False, batch_size, image_side, training_passes=0)
    return TimeSettings(
        method=spec.method.name,
        precision=spec.schedule.precision,
        compiled=spec.schedule.compile,
        batch_size=spec.schedule.batch_size,
        image_side=image_side,
        training_passes=training_passes(spec, dataset),
    )


def settings_sha256(
    spec: ResolvedSpec, dataset_id: str | None, student: Network, teacher: Network | None
) -> str:
    """Return the SHA-256 of everything that a job's time depends on, beside the machine.

    ``student``, ``teacher``: for an evaluation the evaluated model and the reference.
    """
    settings: dict[str, Any] = spec.model_dump(
        mode="json", exclude=set(IRRELEVANT_FIELDS | NETWORK_FIELDS)
    )
    settings["data"]["dataset"] = dataset_id
    settings["evaluation"].pop("seed")
    settings["networks"] = [
        None if network is None else network.model_dump(mode="json")
        for network in (student, teacher)
    ]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
