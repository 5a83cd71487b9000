"""Figures over several jobs: their formats, and the words in them."""

import re
from xml.etree import ElementTree

import pytest

from distill_client.plots.figures import Point, curves, scatter_with_fit

POINTS = [
    Point("ARKD", 10, 60, "students"),
    Point("STARSHIP", 5, 70, "students"),
    Point("WRN", 2, 77, "teacher"),
]


def words(svg: bytes) -> list[str]:
    """Return the texts of a figure.

    Matplotlib draws them as paths, with the text in a comment before each.
    """
    ElementTree.fromstring(svg)
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", svg.decode(), re.DOTALL)]


def test_scatter_names_points_groups_and_correlation() -> None:
    figure = scatter_with_fit(POINTS, x="variance gap, %", y="AutoAttack, %")
    assert figure["png"].startswith(b"\x89PNG")
    texts = words(figure["svg"])
    points_and_groups = {"ARKD", "STARSHIP", "WRN", "students", "teacher"}
    assert points_and_groups | {"variance gap, %", "AutoAttack, %"} <= set(texts)
    assert "r = -1.00" in texts


def test_line_needs_three_points() -> None:
    """No points at all give an empty figure."""
    two_points = words(scatter_with_fit(POINTS[:2], x="x", y="y")["svg"])
    assert not any("r = " in text for text in two_points)
    assert words(scatter_with_fit([], x="x", y="y")["svg"])


def test_curves_are_drawn_from_left_to_right() -> None:
    """In whichever order their points come."""
    axes = {"x": "β", "y": "accuracy, %"}
    clean = [(0.2, 90), (0.8, 84)]
    robust = [(0.2, 40), (0.8, 53)]
    figure = curves({"clean": clean, "AutoAttack": robust}, **axes)
    assert figure == curves({"clean": clean[::-1], "AutoAttack": robust[::-1]}, **axes)
    assert {"clean", "AutoAttack", "β", "accuracy, %"} <= set(words(figure["svg"]))


@pytest.mark.parametrize("value", [91, 40])
def test_other_numbers_give_another_figure(value: float) -> None:
    figures = [
        curves({"clean": [(0.2, number), (0.8, 84)]}, x="β", y="%")["png"] for number in (90, value)
    ]
    assert figures[0] != figures[1]
