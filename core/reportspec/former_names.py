"""The names of results in version 0.1, which did not say their threat model: pgd, pgd_2.

Checkpoints of that version have them. Its databases are migrated (migrations/versions).
"""

from collections.abc import Sequence

from core.jobspec.resolved import ResolvedAttack
from core.reportspec.attack_keys import attack_keys


def accuracy_keys(attacks: Sequence[ResolvedAttack]) -> dict[str, str]:
    """Return the key of each accuracy on the test images by its former name.

    An attack that the spec named again was numbered, however it differed: pgd, pgd_2, pgd_3.
    """
    keys = {"clean": "clean"}
    counts: dict[str, int] = {}
    for key, attack in zip(attack_keys(attacks), attacks, strict=True):
        count = counts.get(attack.name, 0) + 1
        counts[attack.name] = count
        keys[attack.name if count == 1 else f"{attack.name}_{count}"] = key
    return keys
