"""Intervals and fitted lines, against scipy and by hand."""

import pytest
from scipy import stats

from core.summary_statistics import FittedLine, fit_line, standard_error, wilson_interval


@pytest.mark.parametrize(
    ("hits", "count"), [(0, 10), (10, 10), (7, 10), (539, 1000), (9999, 10000), (1, 1)]
)
def test_wilson_interval_is_that_of_scipy(hits: int, count: int) -> None:
    interval = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson_interval(hits / count, count) == pytest.approx(
        (interval.low, interval.high), abs=1e-6
    )


def test_standard_error_is_above_0_for_a_share_of_0() -> None:
    """For many images it is the usual one."""
    assert standard_error(0.5, 10_000) == pytest.approx(0.005, rel=1e-3)
    assert standard_error(0.0, 30) > 0.02


def test_fitted_line_is_that_of_scipy() -> None:
    xs = [1.0, 2.0, 4.0, 7.0]
    ys = [9.0, 8.5, 5.0, 1.0]
    line = fit_line(xs, ys)
    other = stats.linregress(xs, ys)
    assert line is not None
    assert (line.slope, line.intercept, line.r) == pytest.approx(
        (other.slope, other.intercept, other.rvalue)
    )
    assert fit_line([0, 1, 2], [1, 3, 5]) == FittedLine(2, 1, 1)


@pytest.mark.parametrize(
    ("xs", "ys"), [([], []), ([1, 2], [3, 4]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])]
)
def test_no_line_through_too_few_or_equal_points(xs: list[float], ys: list[float]) -> None:
    assert fit_line(xs, ys) is None
