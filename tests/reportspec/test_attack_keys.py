"""Keys of attacks: equal for equal attacks only."""

from typing import Any

import pytest

from core.jobspec.defaults import usual_step_size
from core.jobspec.resolved import ResolvedAutoAttack, ResolvedCwAttack, ResolvedPgdAttack
from core.reportspec.attack_keys import attack_key, attack_keys, held_out_key

RADIUS = 8 / 255


def pgd(**changes: Any) -> ResolvedPgdAttack:
    radius = changes.get("radius", RADIUS)
    return ResolvedPgdAttack(
        **{"radius": radius, "step_size": usual_step_size("pgd", radius), **changes}
    )


def cw(**changes: Any) -> ResolvedCwAttack:
    return ResolvedCwAttack(**{"radius": RADIUS, "step_size": 0.003, **changes})


def autoattack(**changes: Any) -> ResolvedAutoAttack:
    return ResolvedAutoAttack(**{"radius": RADIUS, **changes})


@pytest.mark.parametrize(
    ("attack", "key"),
    [
        (pgd(), "pgd-20@linf:8/255"),
        (pgd(steps=7), "pgd-7@linf:8/255"),
        (pgd(restarts=5), "pgd-20:restarts=5@linf:8/255"),
        (pgd(radius=0.15), "pgd-20@linf:0.15"),
        (pgd(step_size=1 / 255), "pgd-20:step=1/255@linf:8/255"),
        (pgd(restarts=2, step_size=0.01), "pgd-20:restarts=2:step=0.01@linf:8/255"),
        (cw(), "cw-30@linf:8/255"),
        (cw(confidence=0), "cw-30:confidence=0@linf:8/255"),
        (cw(steps=100), "cw-100@linf:8/255"),
        (autoattack(), "autoattack@linf:8/255"),
        (autoattack(norm="l2", radius=0.5), "autoattack@l2:0.5"),
        (autoattack(stages=("square",)), "autoattack:stages=square@linf:8/255"),
        (
            autoattack(stages=("apgd-ce", "apgd-t"), queries=10, iterations=20),
            "autoattack:stages=apgd-ce+apgd-t:queries=10:iterations=20@linf:8/255",
        ),
    ],
)
def test_key_names_every_unusual_setting(attack: Any, key: str) -> None:
    assert attack_key(attack) == key


def test_equal_attacks_are_numbered() -> None:
    assert attack_keys([pgd(), pgd(radius=4 / 255), pgd(), cw(), pgd()]) == [
        "pgd-20@linf:8/255",
        "pgd-20@linf:4/255",
        "pgd-20@linf:8/255#2",
        "cw-30@linf:8/255",
        "pgd-20@linf:8/255#3",
    ]


def test_held_out_accuracy_has_a_threat_model() -> None:
    assert held_out_key(RADIUS) == "held_out_pgd-10@linf:8/255"
