"""The table of a sweep, against numbers taken by hand."""

import pytest

from core.reportspec.table import JobOutcome, tabulate

HELD_OUT = "held_out_pgd-10@linf:8/255"
HELD_OUT_AT_4 = "held_out_pgd-10@linf:4/255"


def outcome(
    line: str, *, clean: float, held_out: float, succeeded: bool = True, key: str = HELD_OUT
) -> JobOutcome:
    best = {key: held_out, "clean": clean}
    return JobOutcome(line, succeeded, {"best": best, "last": {"clean": clean / 2}})


def test_line_has_mean_and_deviation_over_its_seeds() -> None:
    table = tabulate(
        [
            outcome("A", clean=0.2, held_out=0.1),
            outcome("A", clean=0.4, held_out=0.1),
            outcome("B", clean=1, held_out=0),
        ]
    )
    a, b = table.lines
    assert (a.name, a.jobs, a.done) == ("A", 2, 2)
    assert a.cells["clean"].mean == pytest.approx(0.3)
    assert a.cells["clean"].sd == pytest.approx(0.02**0.5)
    assert (b.cells["clean"].sd, b.cells["clean"].n) == (None, 1)
    assert table.measures == ["clean", HELD_OUT]


def test_best_line_is_chosen_by_held_out_images() -> None:
    """Test images play no part."""
    table = tabulate(
        [
            outcome("better on test", clean=0.9, held_out=0.5),
            outcome("better held out", clean=0.1, held_out=0.6),
        ]
    )
    assert [line.best for line in table.lines] == [False, True]


def test_incomplete_line_is_never_the_best() -> None:
    """Its cells are taken over the jobs that have succeeded."""
    table = tabulate(
        [
            outcome("A", clean=0.4, held_out=0.9),
            outcome("A", clean=0.8, held_out=0.9, succeeded=False),
            outcome("B", clean=0.1, held_out=0.1),
            outcome("B", clean=0.1, held_out=0.1),
        ]
    )
    a, b = table.lines
    assert (a.done, a.jobs, a.cells["clean"].mean, a.best) == (1, 2, 0.4, False)
    assert b.best


def test_single_line_is_not_marked_best() -> None:
    assert not tabulate([outcome("A", clean=0.4, held_out=0.9)]).lines[0].best


def test_table_of_last_epochs_and_of_evaluations() -> None:
    assert (
        tabulate([outcome("A", clean=0.4, held_out=0.9)], "last").lines[0].cells["clean"].mean
        == 0.2
    )
    key = "pgd-20@linf:8/255"
    table = tabulate([JobOutcome("A", True, {"model": {key: 0.5}}), JobOutcome("B", False, {})])
    assert (table.network, table.measures, table.lines[0].cells[key].mean) == ("model", [key], 0.5)


def test_unlike_threat_models_are_not_compared() -> None:
    """The best line is that of each threat model; one that stands alone is not the best of any."""
    table = tabulate(
        [
            outcome("A", clean=0.5, held_out=0.2),
            outcome("B", clean=0.5, held_out=0.3),
            outcome("C", clean=0.5, held_out=0.9, key=HELD_OUT_AT_4),
        ]
    )
    assert [line.best for line in table.lines] == [False, True, False]
    assert table.measures == ["clean", HELD_OUT_AT_4, HELD_OUT]


def test_best_line_does_not_wait_for_lines_without_results() -> None:
    table = tabulate([outcome("A", clean=0.5, held_out=0.2), JobOutcome("B", False, {})])
    assert table.lines[0].best


def test_table_describes_its_measures() -> None:
    table = tabulate([outcome("A", clean=0.5, held_out=0.2)])
    assert table.descriptions[HELD_OUT].title == "Held-out PGD-10, L∞, 8/255"


def test_table_without_results_has_no_cells() -> None:
    table = tabulate([JobOutcome("A", False, {})])
    assert (table.measures, table.lines[0].cells) == ([], {})
