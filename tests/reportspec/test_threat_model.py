"""Radii and threat models as text."""

import pytest

from core.reportspec.threat_model import (
    ThreatModel,
    format_radius,
    parse_radius,
    parse_threat_model,
)


@pytest.mark.parametrize(
    ("radius", "text"),
    [
        (8 / 255, "8/255"),
        (0.0313725, "8/255"),
        (1 / 255, "1/255"),
        (128 / 255, "128/255"),
        (0.031, "0.031"),
        (0.0314, "0.0314"),
        (0.15, "0.15"),
        (0.5, "0.5"),
        (1.0, "1"),
        (0.0, "0"),
        (0.5 / 255, repr(0.5 / 255)),
        (1e-5, "1e-05"),
    ],
)
def test_radius_is_a_fraction_of_255_where_it_is_one(radius: float, text: str) -> None:
    assert format_radius(radius) == text
    assert parse_radius(text) == pytest.approx(radius, rel=1e-5, abs=1e-12)


def test_threat_model_has_a_key_and_a_title() -> None:
    assert ThreatModel("linf", 8 / 255).key == "linf:8/255"
    assert ThreatModel("linf", 8 / 255).title == "L∞, 8/255"
    assert ThreatModel("l2", 0.5).title == "L2, 0.5"


def test_threat_model_is_read_from_its_key() -> None:
    assert parse_threat_model("linf:8/255") == ThreatModel("linf", 8 / 255)
    assert parse_threat_model("l2:0.5") == ThreatModel("l2", 0.5)


@pytest.mark.parametrize(
    "text", ["", "l1:0.5", "linf", "linf:", "linf:much", "linf:8/0", "linf:nan", "l2:inf"]
)
def test_other_text_is_no_threat_model(text: str) -> None:
    assert parse_threat_model(text) is None
