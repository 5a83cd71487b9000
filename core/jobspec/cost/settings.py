"""Which jobs cost the same."""

import hashlib
import json
from typing import Any

from core.jobspec.network import Network
from core.jobspec.resolved import ResolvedSpec

IRRELEVANT_FIELDS = frozenset({"name", "metadata", "license", "seed", "preset"})
"""Fields of a spec that change neither time nor memory."""
NETWORK_FIELDS = frozenset({"teacher", "model", "reference", "start_from"})
"""Fields that name a stored network: what counts is its architecture."""


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
