"""Which checks for masked gradients a report lists as passed, failed or not run."""

from typing import Any

import pytest

from core.distillation.reporting.masking_checks import CHECKS, masking_checks, square_warning


def stages(**broken: int) -> dict[str, Any]:
    """Return an entry of AutoAttack: images broken by each stage, of 1000."""
    named = {name.replace("_", "-"): {"broken": count} for name, count in broken.items()}
    return {"stages": named, "images": 1000}


def statuses(entries: dict[str, Any]) -> dict[str, str]:
    return {check.name: check.status for check in masking_checks(entries)}


def test_nothing_was_run() -> None:
    assert statuses({"clean": {}}) == dict.fromkeys(CHECKS, "not_run")


@pytest.mark.parametrize(
    ("entry", "is_warned"),
    [
        (stages(apgd_ce=9, square=2), False),
        (stages(apgd_ce=9, square=3), True),
        (stages(fab_t=0, square=3), True),
        (stages(square=900), None),
        (stages(square=900, apgd_ce=3), None),
        (stages(apgd_ce=9), None),
        ({}, None),
    ],
)
def test_square_is_a_check_only_after_gradients(
    entry: dict[str, Any], is_warned: bool | None
) -> None:
    warning = square_warning(entry)
    assert (None if warning is None else bool(warning)) is is_warned


def test_one_failure_outweighs_a_pass() -> None:
    """AutoAttack ran under two threat models."""
    entries = {
        "autoattack@linf:8/255": stages(apgd_ce=9, square=0),
        "autoattack@l2:0.5": stages(apgd_ce=9, square=30),
    }
    (square,) = (check for check in masking_checks(entries) if check.name == "square")
    assert square.status == "failed"
    assert square.details.startswith("AutoAttack, L2, 0.5: Square broke 30 images")


def test_warnings_of_analyses_are_failures() -> None:
    entries: dict[str, Any] = {
        "gradient_checks": {
            "checks": [
                {"name": "zero_gradients", "passed": False, "sentence": "No gradient."},
                {"name": "random_outputs", "passed": True, "sentence": "Random."},
            ]
        },
        "transfer@linf:8/255": {"warnings": []},
        "radius_sweep": {"warnings": ["It rises."]},
    }
    checks = {check.name: check for check in masking_checks(entries)}
    assert (checks["zero_gradients"].status, checks["zero_gradients"].details) == (
        "failed",
        "No gradient.",
    )
    assert (checks["random_outputs"].status, checks["random_outputs"].details) == ("passed", "")
    assert (checks["transfer"].status, checks["radius"].status) == ("passed", "failed")
