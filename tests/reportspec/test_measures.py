"""What the keys of results say."""

import pytest

from core.reportspec.measures import (
    column_heading,
    describe,
    find_by_name,
    format_value,
    is_accuracy,
    measure_label,
    measure_title,
    sort_key,
)
from core.reportspec.threat_model import ThreatModel


def test_accuracies_are_distinguished_from_other_numbers() -> None:
    names = (
        "clean",
        "pgd-20@linf:8/255",
        "autoattack@l2:0.5",
        "variance_gap_gram@linf:8/255",
        "ece",
        "clean_2x",
    )
    accuracies = ["clean", "pgd-20@linf:8/255", "autoattack@l2:0.5"]
    assert [name for name in names if is_accuracy(name)] == accuracies


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("clean", "Clean"),
        ("pgd-20@linf:8/255", "PGD-20, L∞, 8/255"),
        ("pgd-20@linf:8/255#2", "PGD-20 (run 2), L∞, 8/255"),
        ("pgd-20:restarts=5:step=1/255@linf:8/255", "PGD-20 (restarts 5, step 1/255), L∞, 8/255"),
        ("cw-30@linf:0.15", "CW-30, L∞, 0.15"),
        ("autoattack@l2:0.5", "AutoAttack, L2, 0.5"),
        ("autoattack:queries=10@linf:8/255", "AutoAttack (queries 10), L∞, 8/255"),
        ("held_out_pgd-10@linf:8/255", "Held-out PGD-10, L∞, 8/255"),
        ("transfer@linf:8/255", "Transfer of PGD-20, L∞, 8/255"),
        ("ece_adversarial@linf:8/255", "Expected calibration error under PGD-20, L∞, 8/255"),
        ("radius_sweep", "Radius sweep"),
        ("never heard of @ this", "Never heard of @ this"),
    ],
)
def test_title_names_attack_and_threat_model(key: str, title: str) -> None:
    assert measure_title(key) == title


def test_description_has_the_parts_of_the_key() -> None:
    measure = describe("pgd-20:restarts=5@linf:8/255#2")
    assert (measure.name, measure.steps, measure.version) == ("pgd", 20, "restarts=5")
    assert (measure.norm, measure.radius, measure.run) == ("linf", 8 / 255, 2)
    assert measure.threat_model == ThreatModel("linf", 8 / 255)
    assert describe("autoattack@linf:8/255").version == "standard"
    assert describe("autoattack:stages=square@linf:8/255").version == "stages=square"


def test_clean_accuracy_has_no_threat_model() -> None:
    measure = describe("clean")
    assert (measure.norm, measure.radius, measure.threat_model) == (None, None, None)
    assert not measure.is_test_robustness


def test_only_attacks_of_the_spec_are_test_robustness() -> None:
    keys = ["cw-30@linf:8/255", "held_out_pgd-10@linf:8/255", "transfer@linf:8/255", "pgd"]
    assert [describe(key).is_test_robustness for key in keys] == [True, False, False, False]


def test_label_has_no_threat_model() -> None:
    assert measure_label("autoattack@l2:0.5") == "AutoAttack"


@pytest.mark.parametrize(
    ("key", "heading"),
    [
        ("pgd-20@linf:8/255", "PGD-20, L∞, 8/255 %"),
        (
            "variance_gap_gram@linf:8/255",
            "Variance gap of Gram matrices under PGD-20, L∞, 8/255 %",
        ),
        ("training_seconds_per_epoch", "Training time per epoch s"),
    ],
)
def test_headings_have_the_unit(key: str, heading: str) -> None:
    assert column_heading(key) == heading


def test_numbers_are_shown_in_their_unit() -> None:
    assert format_value("masking_square_drop@linf:8/255", 0.0125) == "1.25"
    assert describe("masking_square_drop@linf:8/255").unit == "points"
    assert format_value("pgd-20@linf:8/255", 0.52361) == "52.36"
    assert format_value("never heard of", 0.5) == "0.5"


def test_accuracies_are_sorted_first_and_by_threat_model() -> None:
    keys = [
        "ece",
        "autoattack@l2:0.5",
        "pgd-20@linf:16/255",
        "clean",
        "autoattack@linf:8/255",
        "pgd-20@linf:8/255",
    ]
    assert sorted(keys, key=sort_key) == [
        "clean",
        "pgd-20@linf:8/255",
        "autoattack@linf:8/255",
        "pgd-20@linf:16/255",
        "autoattack@l2:0.5",
        "ece",
    ]


def test_result_is_found_by_the_name_in_its_key() -> None:
    results = {"clean": 1, "transfer@linf:8/255": 2}
    assert find_by_name(results, "transfer") == 2
    assert find_by_name(results, "grad_cam") is None
