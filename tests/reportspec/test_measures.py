"""Titles and units of results."""

from core.reportspec.measures import column_heading, find_unit, is_accuracy, measure_title, sort_key


def test_accuracies_are_distinguished_from_other_numbers() -> None:
    names = ("clean", "pgd_2", "autoattack", "variance_gap_gram", "ece", "clean_2x")
    assert [name for name in names if is_accuracy(name)] == ["clean", "pgd_2", "autoattack"]


def test_titles_name_and_number_the_attack() -> None:
    titles = [measure_title(name) for name in ("pgd", "pgd_2", "held_out_robust", "radius_sweep")]
    assert titles == ["PGD", "PGD 2", "Held-out PGD-10", "Radius sweep"]


def test_headings_have_the_unit() -> None:
    headings = [
        column_heading(name)
        for name in (
            "pgd_2",
            "variance_gap_gram",
            "training_seconds_per_epoch",
            "effective_rank_gram",
        )
    ]
    assert headings == [
        "PGD 2 %",
        "Variance gap of Gram matrices %",
        "Training time per epoch s",
        "Effective rank of the Gram matrix",
    ]


def test_numbers_are_shown_in_their_unit() -> None:
    assert find_unit("masking_square_drop").text(0.0125) == "1.25 points"
    assert find_unit("never heard of").text(0.5) == "0.5"


def test_accuracies_are_sorted_first() -> None:
    assert sorted(["ece", "autoattack", "pgd_2", "clean", "pgd"], key=sort_key) == [
        "clean",
        "pgd",
        "pgd_2",
        "autoattack",
        "ece",
    ]
