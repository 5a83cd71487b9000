"""The checks for masked gradients of a report: which passed, which failed, which were not run."""

from collections.abc import Iterator, Mapping
from typing import Any

from core.reportspec.measures import describe, find_by_name
from core.reportspec.report import MaskingCheck

MAX_SQUARE_SHARE = 0.002
"""Share of all images that Square, which uses no gradients, may break beyond the other attacks."""
GRADIENT_STAGES = frozenset({"apgd-ce", "apgd-t", "fab-t"})

Entries = Mapping[str, Mapping[str, Any]]
"""The report's entries of one network as JSON, by key."""

GRADIENT_CHECKS_MISSING = "The gradient checks have no result here: a warning says why."
CHECKS: dict[str, tuple[str, str]] = {
    "zero_gradients": ("Every image has a gradient.", GRADIENT_CHECKS_MISSING),
    "random_outputs": (
        "The same images give the same logits.",
        GRADIENT_CHECKS_MISSING,
    ),
    "large_radius": (
        "At a very large radius the attack succeeds.",
        GRADIENT_CHECKS_MISSING,
    ),
    "square": (
        "Square, which uses no gradients, finds next to nothing after APGD.",
        "It is part of AutoAttack and of the analysis gradient_masking, which have no result here.",
    ),
    "noise": (
        "Random noise does less than PGD.",
        "It is part of the analysis gradient_masking, which has no result here.",
    ),
    "transfer": (
        "Adversarial images of another network do less than the network's own.",
        "It is the analysis transfer, with a reference, which has no result here.",
    ),
    "radius": (
        "Accuracy does not rise with the radius.",
        "It is part of the analysis radius_sweep, which has no result here.",
    ),
}
"""By name, what is true of a network that passes, and what a check that was not run needs."""


def masking_checks(entries: Entries) -> list[MaskingCheck]:
    """Return every check with its outcome. One that ran twice has failed if it failed once."""
    outcomes: dict[str, list[tuple[bool, str]]] = {name: [] for name in CHECKS}
    for name, passed, details in _outcomes(entries):
        outcomes[name].append((passed, details))
    return [_check(name, outcomes[name]) for name in CHECKS]


def _check(name: str, outcomes: list[tuple[bool, str]]) -> MaskingCheck:
    title, requirement = CHECKS[name]
    if not outcomes:
        return MaskingCheck(name=name, title=title, status="not_run", details=requirement)
    failures = [details for passed, details in outcomes if not passed]
    return MaskingCheck(
        name=name,
        title=title,
        status="failed" if failures else "passed",
        details=" ".join(failures),
    )


def _outcomes(entries: Entries) -> Iterator[tuple[str, bool, str]]:
    """Yield name, whether it passed, and what was found, for each check that was run."""
    for name in ("gradient_checks", "gradient_masking"):
        for check in entries.get(name, {}).get("checks", []):
            yield check["name"], check["passed"], check["sentence"]
    for key, entry in entries.items():
        if (warning := square_warning(entry)) is not None:
            title = describe(key).title
            yield "square", not warning, f"{title}: {warning}" if warning else ""
    for name, analysis in (("transfer", "transfer"), ("radius", "radius_sweep")):
        result = find_by_name(entries, analysis)
        if result is not None:
            warnings = result.get("warnings", [])
            yield name, not warnings, " ".join(warnings)


def square_warning(entry: Mapping[str, Any]) -> str | None:
    """Return a sentence if Square broke too many images after AutoAttack's other stages.

    An empty one if it did not; None if Square did not run after a stage that uses gradients.
    """
    stages = list(entry.get("stages", {}))
    if "square" not in stages or not GRADIENT_STAGES & set(stages[: stages.index("square")]):
        return None
    broken = entry["stages"]["square"]["broken"]
    if broken <= MAX_SQUARE_SHARE * entry["images"]:
        return ""
    return (
        f"Square broke {broken} images that had survived the gradient-based attacks: the network "
        "may mask its gradients."
    )
