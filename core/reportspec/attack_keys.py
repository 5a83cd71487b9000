"""The keys of attacks: every setting that is not the usual one is part of the name."""

import math
from collections.abc import Iterable, Iterator

from core.jobspec.defaults import usual_step_size
from core.jobspec.evaluation import (
    SELECTION_STEPS,
    STANDARD_ITERATIONS,
    STANDARD_QUERIES,
    STANDARD_STAGES,
    CwAttack,
)
from core.jobspec.resolved import (
    ResolvedAttack,
    ResolvedAutoAttack,
    ResolvedCwAttack,
    ResolvedEvaluationJobSpec,
    ResolvedPgdAttack,
    ResolvedSpec,
)
from core.reportspec.measures import HELD_OUT_ROBUST
from core.reportspec.threat_model import ThreatModel, format_radius


def threat_model_of(attack: ResolvedAttack) -> ThreatModel:
    """Return the ball that the attack searches. PGD and CW are in L-infinity."""
    norm = attack.norm if isinstance(attack, ResolvedAutoAttack) else "linf"
    return ThreatModel(norm, attack.radius)


def own_threat_model(spec: ResolvedSpec) -> ThreatModel:
    """Return the training adversary's; of an evaluation, that of attacks without a radius."""
    if isinstance(spec, ResolvedEvaluationJobSpec):
        return ThreatModel("linf", spec.radius)
    return ThreatModel("linf", spec.adversary.radius)


def attack_key(attack: ResolvedAttack) -> str:
    """Return the key of the accuracy under this attack, without the number of its run."""
    if isinstance(attack, ResolvedAutoAttack):
        name = "autoattack"
        settings = _autoattack_settings(attack)
    else:
        name = f"{attack.name}-{attack.steps}"
        settings = _gradient_attack_settings(attack)
    return ":".join([name, *settings]) + f"@{threat_model_of(attack).key}"


def attack_keys(attacks: Iterable[ResolvedAttack]) -> list[str]:
    """Return the keys of a job's attacks. Equal attacks are numbered from the second on."""
    counts: dict[str, int] = {}
    keys = []
    for attack in attacks:
        key = attack_key(attack)
        counts[key] = counts.get(key, 0) + 1
        keys.append(key if counts[key] == 1 else f"{key}#{counts[key]}")
    return keys


def held_out_key(radius: float) -> str:
    """Return the key of the held-out accuracy by which the best epoch is chosen."""
    return f"{HELD_OUT_ROBUST}-{SELECTION_STEPS}@{ThreatModel('linf', radius).key}"


def _autoattack_settings(attack: ResolvedAutoAttack) -> Iterator[str]:
    if attack.stages != STANDARD_STAGES:
        yield f"stages={'+'.join(attack.stages)}"
    if attack.queries != STANDARD_QUERIES:
        yield f"queries={attack.queries}"
    if attack.iterations != STANDARD_ITERATIONS:
        yield f"iterations={attack.iterations}"


def _gradient_attack_settings(attack: ResolvedPgdAttack | ResolvedCwAttack) -> Iterator[str]:
    if isinstance(attack, ResolvedPgdAttack) and attack.restarts > 1:
        yield f"restarts={attack.restarts}"
    if not math.isclose(
        attack.step_size, usual_step_size(attack.name, attack.radius), rel_tol=1e-5
    ):
        yield f"step={format_radius(attack.step_size)}"
    if isinstance(attack, ResolvedCwAttack) and attack.confidence != CwAttack().confidence:
        yield f"confidence={attack.confidence:g}"
