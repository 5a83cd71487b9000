"""What a job costs: the passes that each method, attack and analysis declares."""

from typing import Any

import pytest

from api.submission.estimate import estimate_cost
from api.submission.prepare import PreparedJob
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from core.jobspec.training.methods import METHODS
from tests.builders import distillation_spec, training_spec

NETWORK_PASSES = {
    "starship": 2040,
    "arkd": 2040,
    "ard": 1656,
    "iad": 2040,
    "rslad": 1848,
    "akd": 1848,
    "adaad": 2232,
    "trades": 1848,
    "pgd_at": 1464,
    "score": 1848,
    "n_fgsm": 1272,
    "at_prm": 1464,
}
"""Of the tiny job of tests.builders, by method."""
TRAINING_METHODS = {"trades", "pgd_at", "score", "n_fgsm", "at_prm"}


def network_passes(method: dict[str, Any], **changes: Any) -> int:
    make = training_spec if method["name"] in TRAINING_METHODS else distillation_spec
    if method["name"] == "n_fgsm":
        changes["adversary"] = {"name": "n_fgsm"}
    spec = make(method=method, **changes)
    return estimate_cost(PreparedJob(spec, "ds_digits", None, DIGITS)).network_passes


def test_evaluation_passes_are_added_up() -> None:
    """For each test image: clean, each attack, the gradient checks (1), and the analyses.

    Calibration is a clean pass and PGD-20 with its evaluation, 22.
    """
    images = 50

    def passes(**evaluation: Any) -> int:
        return network_passes({"name": "trades"}, evaluation={"limit": images, **evaluation})

    # Best and last student each have a clean pass; the gradient checks are of the best one.
    bare = passes(attacks=[])
    pgd = passes(attacks=[{"name": "pgd", "steps": 2, "restarts": 3}])
    assert pgd - bare == 2 * 7 * images
    calibrated = passes(attacks=[], analyses=[{"name": "calibration"}])
    assert calibrated - bare == 22 * images


def test_gradient_checks_cost_a_pass_per_test_image() -> None:
    spec = resolve(
        EvaluationJobSpec.model_validate(
            {
                "kind": "evaluation",
                "model": "mdl_1",
                "data": {"dataset": "digits"},
                "evaluation": {"attacks": [], "limit": 50},
            }
        ),
        DIGITS,
    )
    prepared = PreparedJob(spec, "ds_digits", None, DIGITS)
    assert estimate_cost(prepared).network_passes == 50 + 50


def test_every_method_has_an_estimate() -> None:
    assert NETWORK_PASSES.keys() == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_estimate_is_what_the_settings_declare(name: str) -> None:
    assert network_passes({"name": name}) == NETWORK_PASSES[name]


@pytest.mark.parametrize("name", ["arkd", "starship"])
def test_adaptive_adversary_costs_both_networks(name: str) -> None:
    assert network_passes({"name": name, "adaptive": True}) == 2424


@pytest.mark.parametrize(
    ("changes", "passes_per_step"),
    [
        ({"igdm": {}}, 3),
        ({"igdm": {"forward": 2.0}}, 4),
        ({"awp": {}}, 2),
        ({"averaging": None}, 0),
    ],
)
def test_parts_beside_the_method_add_passes(changes: dict[str, Any], passes_per_step: int) -> None:
    plain = network_passes({"name": "arkd"})
    assert network_passes({"name": "arkd"}, **changes) == plain + passes_per_step * 3 * 64


@pytest.mark.parametrize(
    ("method", "passes_per_step"),
    [({"name": "ard"}, 1), ({"name": "iad"}, 2), ({"name": "adaad"}, 1)],
)
def test_statistics_passes_cost(method: dict[str, Any], passes_per_step: int) -> None:
    plain = network_passes(method)
    with_passes = network_passes({**method, "statistics_passes": True})
    assert with_passes == plain + passes_per_step * 3 * 64
