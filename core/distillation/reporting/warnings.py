"""The warnings of a report: why its numbers are not standard, or less certain than they look."""

from collections.abc import Iterator
from typing import Any

from core.distillation.reporting.masking_checks import square_warning
from core.distillation.run_state import RunState
from core.jobspec.data import DatasetDescription
from core.jobspec.defaults import usual_step_size
from core.jobspec.evaluation import (
    STANDARD_QUERIES,
    STANDARD_STAGES,
    AutoAttack,
    CwAttack,
    GradientMasking,
    PgdAttack,
    RadiusSweep,
)
from core.jobspec.resolved import (
    ResolvedAnalysis,
    ResolvedAutoAttack,
    ResolvedCwAttack,
    ResolvedEvaluationJobSpec,
    ResolvedPgdAttack,
    ResolvedSpec,
    ResolvedTrainingSpec,
)
from core.reportspec.attack_keys import attack_key, own_threat_model, threat_model_of
from core.reportspec.measures import measure_label, measure_title
from core.reportspec.threat_model import format_radius
from core.summary_statistics import standard_error, wilson_interval

MIN_HELD_OUT = 500
MIN_TEST = 1000
"""Images. An accuracy near 50 % has a standard error of 2.2 points with 500, of 1.6 with 1,000."""
MIN_EPOCHS = 5
"""Validated epochs from which a best one can be chosen."""
USUAL_PGD_STEPS = 20
USUAL_CW_STEPS = 30
STANDARD_ITERATIONS = 100

ONE_SEED = (
    "This is a single run with one seed. Runs that differ only in their seed differ in their "
    "results: by a few tenths of a point on CIFAR-10's 10,000 test images, and by more on smaller "
    "test sets. A smaller difference from another run means nothing."
)
UNKNOWN_SELECTION = (
    "It is not known how the model was selected: it may have been tuned on these test images."
)

ROLES = {"best": "best epoch", "last": "last epoch", "model": "model"}

Results = dict[str, dict[str, dict[str, Any]]]
"""Report entries as JSON, by network and measure."""


def report_warnings(
    spec: ResolvedSpec, state: RunState, dataset: DatasetDescription, images: dict[str, int]
) -> list[str]:
    """Return one or two sentences for each reason to be careful with the numbers.

    ``images``: how many images of each part (training, held_out, test) were used.
    """
    warnings = [warning["message"] for warning in state.warnings]
    warnings += [*_test_image_warnings(images["test"], dataset), *_attack_warnings(spec)]
    for analysis in spec.evaluation.analyses:
        warnings += _analysis_warnings(analysis)
    if isinstance(spec, ResolvedEvaluationJobSpec):
        return [*warnings, UNKNOWN_SELECTION, *_result_warnings(state.measured)]
    warnings += _training_warnings(spec, state, dataset, images)
    return [*warnings, *_result_warnings(state.measured), ONE_SEED]


def _test_image_warnings(used: int, dataset: DatasetDescription) -> Iterator[str]:
    if used < dataset.test_images:
        yield f"Only {used} of {dataset.test_images} test images were used."
    if used < MIN_TEST:
        low, high = wilson_interval(0.5, used)
        yield (
            f"With only {used} test images, the 95 % confidence interval of an accuracy near 50 % "
            f"is {100 * (high - low):.1f} points wide. The report gives the interval of each "
            "accuracy."
        )


# -- attacks


def _attack_warnings(spec: ResolvedSpec) -> Iterator[str]:
    yield from _missing_autoattack_warnings(spec)
    for attack in spec.evaluation.attacks:
        if isinstance(attack, AutoAttack):
            yield from _autoattack_warnings(attack)
        else:
            yield from _pgd_warnings(attack)
    yield from _threat_model_warnings(spec)


def _missing_autoattack_warnings(spec: ResolvedSpec) -> Iterator[str]:
    """Name the threat models without AutoAttack: that of another one says nothing of them."""
    attacks = spec.evaluation.attacks
    own = own_threat_model(spec)
    titles = dict.fromkeys([own.title, *(threat_model_of(attack).title for attack in attacks)])
    covered = {
        threat_model_of(attack).title for attack in attacks if isinstance(attack, AutoAttack)
    }
    missing = [title for title in titles if title not in covered]
    if missing:
        yield (
            f"AutoAttack was not run under {'; '.join(missing)}. Robust accuracy under PGD or CW "
            "alone is an upper bound that is often too optimistic."
        )


def _threat_model_warnings(spec: ResolvedSpec) -> Iterator[str]:
    own = own_threat_model(spec)
    role = "evaluation" if isinstance(spec, ResolvedEvaluationJobSpec) else "training"
    others: dict[str, list[str]] = {}
    for attack in spec.evaluation.attacks:
        threat_model = threat_model_of(attack)
        if threat_model.key != own.key:
            label = measure_label(attack_key(attack))
            others.setdefault(threat_model.title, []).append(label)
    for title, labels in others.items():
        verb = "was" if len(labels) == 1 else "were"
        yield (
            f"{' and '.join(labels)} {verb} run under {title}, another threat model than that of "
            f"the {role} ({own.title}): accuracies under the two cannot be compared."
        )


def _autoattack_warnings(attack: ResolvedAutoAttack) -> Iterator[str]:
    if attack.is_standard:
        return
    differences = []
    if len(attack.stages) != len(STANDARD_STAGES):
        differences.append(f"only the stages {', '.join(attack.stages)}")
    if attack.queries != STANDARD_QUERIES:
        differences.append(f"{attack.queries} queries instead of {STANDARD_QUERIES}")
    if attack.iterations != STANDARD_ITERATIONS:
        differences.append(f"{attack.iterations} iterations instead of {STANDARD_ITERATIONS}")
    text = "; ".join(differences) or "another order of stages"
    title = threat_model_of(attack).title
    yield f"AutoAttack, {title}, was not the standard version: {text}."


def _pgd_warnings(attack: ResolvedPgdAttack | ResolvedCwAttack) -> Iterator[str]:
    title = measure_title(attack_key(attack))
    usual_steps = USUAL_PGD_STEPS if isinstance(attack, PgdAttack) else USUAL_CW_STEPS
    if attack.steps < usual_steps:
        yield f"{title}, was run with {attack.steps} steps instead of the usual {usual_steps}."
    usual_size = usual_step_size(attack.name, attack.radius)
    if attack.step_size != usual_size:
        yield (
            f"{title}, was run with a step size of {format_radius(attack.step_size)} instead of "
            f"{format_radius(usual_size)}, which is usual at its radius."
        )
    usual_confidence = CwAttack().confidence
    if isinstance(attack, CwAttack) and attack.confidence != usual_confidence:
        yield (
            f"{title}, was run with a confidence of {attack.confidence:g} instead of the usual "
            f"{usual_confidence:g}."
        )


def _analysis_warnings(analysis: ResolvedAnalysis) -> Iterator[str]:
    usual_steps = RadiusSweep().steps
    if isinstance(analysis, RadiusSweep) and analysis.steps < usual_steps:
        yield (
            f"The radius sweep ran PGD with {analysis.steps} steps instead of the usual "
            f"{usual_steps}."
        )
    usual_queries = GradientMasking().queries
    if isinstance(analysis, GradientMasking) and analysis.queries < usual_queries:
        yield (
            f"The check for gradient masking ran Square with {analysis.queries} queries instead "
            f"of the usual {usual_queries}."
        )


# -- training


def _training_warnings(
    spec: ResolvedTrainingSpec, state: RunState, dataset: DatasetDescription, images: dict[str, int]
) -> Iterator[str]:
    used = images["training"] + images["held_out"]
    if used < dataset.train_images:
        yield f"Only {used} of {dataset.train_images} training images were used."
    if spec.data.extra is not None:
        yield (
            f"{spec.data.extra.ratio:.0%} of every batch were extra images: compare only with "
            "results that used extra images, too."
        )
    if spec.averaging is not None:
        yield f"The student's weights are an average over the training ({spec.averaging.name})."
    yield from _selection_warnings(spec, state, images["held_out"])


def _selection_warnings(
    spec: ResolvedTrainingSpec, state: RunState, held_out: int
) -> Iterator[str]:
    accuracies = {
        entry["epoch"]: entry["held_out_robust"]
        for entry in state.history
        if "held_out_robust" in entry
    }
    if spec.evaluation.every_epochs > 1:
        yield (
            f"Only one epoch in {spec.evaluation.every_epochs} was validated: the best epoch was "
            f"chosen from {len(accuracies)} of {len(state.history)}."
        )
    elif len(accuracies) < MIN_EPOCHS:
        epochs = "1 epoch" if len(accuracies) == 1 else f"{len(accuracies)} epochs"
        yield (
            f"The best epoch was chosen from only {epochs}: such a short training says little "
            "about what a method can achieve."
        )
    if held_out < MIN_HELD_OUT and state.best_epoch is not None:
        points = 100 * standard_error(accuracies[state.best_epoch], held_out)
        yield (
            f"The best epoch was chosen on only {held_out} held-out images: the accuracy by which "
            f"it was chosen has a standard error of {points:.1f} points, and another epoch may be "
            "just as good."
        )


# -- results


def _result_warnings(measured: Results) -> Iterator[str]:
    for role, results in measured.items():
        for name, entry in results.items():
            if role == "last" and entry == measured["best"].get(name):
                continue  # the last epoch is the best one: its warnings are there already
            sentences = [
                *entry.get("notes", []),
                *entry.get("warnings", []),
                *_entry_warnings(entry),
            ]
            for sentence in sentences:
                yield f"{measure_title(name)}, {ROLES[role]}: {sentence}"


def _entry_warnings(entry: dict[str, Any]) -> Iterator[str]:
    if count := entry.get("non_finite"):
        yield (
            f"For {count} images the network's logits were not finite; these images count as "
            "misclassified."
        )
    if warning := square_warning(entry):
        yield warning
