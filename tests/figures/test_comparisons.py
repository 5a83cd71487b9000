"""Figures over several jobs, looked at as far as a test can: their formats, and the words that matplotlib notes in an SVG."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from core.figures import Point, curves, scatter_with_fit

POINTS = [
    Point("ARKD", 10, 60, "students"),
    Point("STARSHIP", 5, 70, "students"),
    Point("WRN", 2, 77, "teacher"),
]


def words(svg: bytes) -> list[str]:
    """Texts are drawn as paths; what they say is in a comment before each."""
    ElementTree.fromstring(svg)
    return [found.strip() for found in re.findall(r"<!--(.*?)-->", svg.decode(), re.DOTALL)]


def test_a_scatter_names_its_points_its_groups_and_the_correlation() -> None:
    drawn = scatter_with_fit(POINTS, x="variance gap, %", y="AutoAttack, %")
    assert drawn["png"].startswith(b"\x89PNG")
    said = words(drawn["svg"])
    assert {
        "ARKD",
        "STARSHIP",
        "WRN",
        "students",
        "teacher",
        "variance gap, %",
        "AutoAttack, %",
    } <= set(said)
    assert "r = -1.00" in said


def test_two_points_have_no_line_and_none_make_an_empty_figure() -> None:
    assert not any(
        "r = " in text for text in words(scatter_with_fit(POINTS[:2], x="x", y="y")["svg"])
    )
    assert words(scatter_with_fit([], x="x", y="y")["svg"])


def test_curves_are_drawn_from_left_to_right_whatever_their_order() -> None:
    one = curves(
        {"clean": [(0.2, 90), (0.8, 84)], "AutoAttack": [(0.2, 40), (0.8, 53)]},
        x="β",
        y="accuracy, %",
    )
    other = curves(
        {"clean": [(0.8, 84), (0.2, 90)], "AutoAttack": [(0.8, 53), (0.2, 40)]},
        x="β",
        y="accuracy, %",
    )
    assert one == other
    assert {"clean", "AutoAttack", "β", "accuracy, %"} <= set(words(one["svg"]))


@pytest.mark.parametrize("value", [91, 40])
def test_other_numbers_make_another_figure(value: float) -> None:
    draw = [
        curves({"clean": [(0.2, number), (0.8, 84)]}, x="β", y="%")["png"] for number in (90, value)
    ]
    assert draw[0] != draw[1]


def test_figures_need_no_torch() -> None:
    code = "import sys, core.figures; print('torch' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )
