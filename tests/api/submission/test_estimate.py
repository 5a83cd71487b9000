"""What a job costs: the passes that each method, attack and analysis declares."""

from typing import Any

import pytest

from api.submission.estimate import estimate_cost
from api.submission.prepare import PreparedJob
from core.jobspec.data import DIGITS
from core.jobspec.training.methods import METHODS
from tests.builders import distillation_spec, training_spec

NETWORK_PASSES = {
    "starship": 2168,
    "arkd": 2168,
    "ard": 2168,
    "iad": 2168,
    "rslad": 2168,
    "akd": 2168,
    "adaad": 2552,
    "trades": 1784,
    "pgd_at": 1400,
    "score": 1784,
    "n_fgsm": 1208,
    "at_prm": 1400,
}
"""Of the tiny job of tests.builders, by method."""
TRAINING_METHODS = {"trades", "pgd_at", "score", "n_fgsm", "at_prm"}


def network_passes(method: dict[str, Any], **changes: Any) -> int:
    make = training_spec if method["name"] in TRAINING_METHODS else distillation_spec
    if method["name"] == "n_fgsm":
        changes["adversary"] = {"name": "n_fgsm"}
    spec = make(method=method, **changes)
    return estimate_cost(PreparedJob(spec, "ds_digits", None, DIGITS)).network_passes


def test_every_method_has_an_estimate() -> None:
    assert NETWORK_PASSES.keys() == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_estimate_is_what_the_settings_declare(name: str) -> None:
    assert network_passes({"name": name}) == NETWORK_PASSES[name]


@pytest.mark.parametrize("name", ["arkd", "starship"])
def test_adaptive_adversary_costs_both_networks(name: str) -> None:
    assert network_passes({"name": name, "adaptive": True}) == 2552


@pytest.mark.parametrize(
    ("changes", "passes_per_step"), [({"igdm": {}}, 4), ({"awp": {}}, 2), ({"averaging": None}, 0)]
)
def test_parts_beside_the_method_add_passes(changes: dict[str, Any], passes_per_step: int) -> None:
    plain = network_passes({"name": "arkd"})
    assert network_passes({"name": "arkd"}, **changes) == plain + passes_per_step * 3 * 64
