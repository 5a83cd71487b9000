"""The names of version 0.1: the attack, numbered where the spec names it again."""

from core.jobspec.resolved import ResolvedAttack
from core.reportspec.former_names import accuracy_keys
from tests.reportspec.test_attack_keys import autoattack, cw, pgd


def test_every_former_name_has_a_key() -> None:
    """An attack was numbered however it differed from the one before it."""
    attacks: list[ResolvedAttack] = [
        pgd(),
        autoattack(norm="l2", radius=0.5),
        pgd(radius=0.15),
        autoattack(stages=("square",), queries=10),
        pgd(),
        cw(),
        pgd(restarts=3),
    ]
    assert accuracy_keys(attacks) == {
        "clean": "clean",
        "pgd": "pgd-20@linf:8/255",
        "autoattack": "autoattack@l2:0.5",
        "pgd_2": "pgd-20@linf:0.15",
        "autoattack_2": "autoattack:stages=square:queries=10@linf:8/255",
        "pgd_3": "pgd-20@linf:8/255#2",
        "cw": "cw-30@linf:8/255",
        "pgd_4": "pgd-20:restarts=3@linf:8/255",
    }


def test_evaluation_without_attacks_has_clean_accuracy() -> None:
    assert accuracy_keys([]) == {"clean": "clean"}
