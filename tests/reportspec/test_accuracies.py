"""Which results decide: one rule for job, model, list, leaderboard and comparison."""

import pytest

from core.reportspec.accuracies import deciding_keys, main_results
from core.reportspec.result_sections import result_sections

AUTOATTACK = "autoattack@linf:8/255"
PGD = "pgd-20@linf:8/255"


@pytest.mark.parametrize(
    ("keys", "deciding"),
    [
        (["clean", PGD, "cw-30@linf:8/255", AUTOATTACK], AUTOATTACK),
        (["clean", PGD, "cw-30@linf:8/255"], "cw-30@linf:8/255"),
        (["pgd-20@linf:8/255", "pgd-100@linf:8/255"], "pgd-100@linf:8/255"),
        (["autoattack:stages=square@linf:8/255", AUTOATTACK], AUTOATTACK),
        (["pgd-20@linf:8/255#2", PGD], PGD),
    ],
)
def test_strongest_attack_decides(keys: list[str], deciding: str) -> None:
    assert deciding_keys(keys) == [deciding]
    assert deciding_keys(reversed(keys)) == [deciding]


def test_nothing_decides_without_an_attack() -> None:
    assert deciding_keys(["clean", "held_out_pgd-10@linf:8/255", "radius_sweep"]) == []


def test_training_threat_model_comes_first() -> None:
    keys = ["clean", PGD, "autoattack@l2:0.5", "held_out_pgd-10@linf:8/255"]
    assert deciding_keys(keys) == [PGD, "autoattack@l2:0.5"]
    assert deciding_keys(keys[:-1]) == ["autoattack@l2:0.5", PGD]


def test_main_results_are_those_of_the_published_network() -> None:
    assert main_results({"last": {"clean": 0.1}, "best": {"clean": 0.2}}) == {"clean": 0.2}
    assert main_results({"model": {"clean": 0.3}}) == {"clean": 0.3}
    assert main_results({"last": {"clean": 0.1}}) == {}
    assert main_results(None) == {}


def test_a_section_is_decided_by_the_strongest_attack_of_any_job() -> None:
    """Of one data set under one threat model, the section of most jobs first."""
    sections = result_sections(
        [
            ("ds_1", ["clean", PGD]),
            ("ds_1", ["clean", PGD, "pgd-20@l2:0.5"]),
            ("ds_1", [AUTOATTACK]),
            ("ds_2", [PGD]),
            ("ds_2", ["clean"]),
        ]
    )
    assert [
        (section.dataset_id, section.threat_model.title, section.jobs, section.deciding)
        for section in sections
    ] == [
        ("ds_1", "L∞, 8/255", 3, AUTOATTACK),
        ("ds_1", "L2, 0.5", 1, "pgd-20@l2:0.5"),
        ("ds_2", "L∞, 8/255", 1, PGD),
    ]
