"""A sentence for everything that makes a report's numbers less than standard, or less certain than they look."""

from collections.abc import Iterator
from typing import Any

from core.distillation.run_state import RunState
from core.jobspec.data import DatasetDescription
from core.jobspec.defaults import usual_step_size
from core.jobspec.evaluation import (
    STANDARD_QUERIES,
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
    ResolvedEvaluation,
    ResolvedEvaluationJobSpec,
    ResolvedPgdAttack,
    ResolvedSpec,
    ResolvedTrainingSpec,
)
from core.reportspec.measures import title_of
from core.summary_statistics import standard_error, wilson

MASKING_POINTS = 0.002
"""Square, without gradients, should find no more than this share beyond what the attacks with gradients found."""
FEW_HELD_OUT, FEW_TEST = 500, 1000
"""Images; an accuracy near 50 % has a standard error of 2.2 points among 500, of 1.6 among 1,000."""
FEW_EPOCHS = 5
"""Judged epochs among which a best one is hardly chosen."""

ONE_SEED = (
    "This is one run with one seed. Runs that differ in nothing but the seed differ in their results, too: by some tenths of a "
    "point on CIFAR-10's 10,000 test images, by more on fewer. A smaller gap to another run says nothing."
)
UNKNOWN_CHOICE = "Nothing is known here of how the model was chosen: it may have been tuned on these test images."

ROLES = {"best": "best epoch", "last": "last epoch", "model": "model"}

Measured = dict[str, dict[str, dict[str, Any]]]


def warnings(
    spec: ResolvedSpec, state: RunState, dataset: DatasetDescription, images: dict[str, int]
) -> list[str]:
    """``images``: how many of each part (training, held_out, test) were used."""
    evaluation = spec.evaluation
    found = [*_of_the_test_images(images["test"], dataset), *_of_the_attacks(spec)]
    for analysis in evaluation.analyses:
        found += _of_the_analysis(analysis)
    found += (
        [UNKNOWN_CHOICE]
        if isinstance(spec, ResolvedEvaluationJobSpec)
        else _of_the_training(spec, state, dataset, images)
    )
    return [
        *found,
        *_of_the_results(state.measured),
        *([] if isinstance(spec, ResolvedEvaluationJobSpec) else [ONE_SEED]),
    ]


def _of_the_test_images(used: int, dataset: DatasetDescription) -> Iterator[str]:
    if used < dataset.test_images:
        yield f"Only {used} of {dataset.test_images} test images were used."
    if used < FEW_TEST:
        low, high = wilson(0.5, used)
        yield (
            f"{used} test images are few: the 95 % interval of an accuracy near 50 % is {100 * (high - low):.1f} points wide. "
            "Each accuracy's own interval stands beside it."
        )


# -- attacks


def _of_the_attacks(spec: ResolvedSpec) -> Iterator[str]:
    evaluation = spec.evaluation
    if not any(
        isinstance(attack, AutoAttack) and attack.norm == "linf" for attack in evaluation.attacks
    ):
        yield "AutoAttack was not run: robust accuracy under PGD or CW alone is an upper bound that often flatters."
    for attack in evaluation.attacks:
        if isinstance(attack, AutoAttack):
            yield from _of_autoattack(attack)
        else:
            yield from _of_steps(attack)
    yield from _of_the_radii(spec, evaluation)


def _of_the_radii(spec: ResolvedSpec, evaluation: ResolvedEvaluation) -> Iterator[str]:
    radius = spec.radius if isinstance(spec, ResolvedEvaluationJobSpec) else spec.adversary.radius
    where = (
        "this evaluation is of"
        if isinstance(spec, ResolvedEvaluationJobSpec)
        else "the student was trained at"
    )
    for attack in evaluation.attacks:
        if attack.radius != radius and not (isinstance(attack, AutoAttack) and attack.norm == "l2"):
            yield f"{attack.name} was run at radius {attack.radius:.4g}, {where} {radius:.4g}."


def _of_autoattack(attack: ResolvedAutoAttack) -> Iterator[str]:
    if attack.is_standard:
        return
    less = [] if len(attack.stages) == 4 else [f"stages {', '.join(attack.stages)}"]
    less += (
        []
        if attack.queries == STANDARD_QUERIES
        else [f"{attack.queries} queries of {STANDARD_QUERIES}"]
    )
    less += [] if attack.iterations == 100 else [f"{attack.iterations} iterations of 100"]
    yield f"AutoAttack was not the standard version: {'; '.join(less or ['another order of stages'])}."


def _of_steps(attack: ResolvedPgdAttack | ResolvedCwAttack) -> Iterator[str]:
    title, usual = ("PGD", 20) if isinstance(attack, PgdAttack) else ("CW", 30)
    if attack.steps < usual:
        yield f"{title} was run with {attack.steps} steps; {usual} are usual."
    if attack.step_size != (step := usual_step_size(attack.name, attack.radius)):
        yield f"{title} was run with a step of {attack.step_size:.4g}; {step:.4g} is usual at its radius."
    if isinstance(attack, CwAttack) and attack.confidence != CwAttack().confidence:
        yield f"CW was run with a confidence of {attack.confidence:g}; {CwAttack().confidence:g} is usual."


def _of_the_analysis(analysis: ResolvedAnalysis) -> Iterator[str]:
    if isinstance(analysis, RadiusSweep) and analysis.steps < RadiusSweep().steps:
        yield f"The radius sweep's PGD had {analysis.steps} steps; {RadiusSweep().steps} are usual."
    if isinstance(analysis, GradientMasking) and analysis.queries < GradientMasking().queries:
        yield f"Gradient masking was looked for with {analysis.queries} queries of Square; {GradientMasking().queries} are usual."


# -- training


def _of_the_training(
    spec: ResolvedTrainingSpec, state: RunState, dataset: DatasetDescription, images: dict[str, int]
) -> Iterator[str]:
    if images["training"] + images["held_out"] < dataset.train_images:
        yield f"Only {images['training'] + images['held_out']} of {dataset.train_images} training images were used."
    if spec.data.extra is not None:
        yield f"{spec.data.extra.ratio:.0%} of every batch were extra images: compare with results that had them, too."
    if spec.averaging is not None:
        yield f"The student is the average of its weights ({spec.averaging.name})."
    yield from _of_the_choice(spec, state, images["held_out"])


def _of_the_choice(spec: ResolvedTrainingSpec, state: RunState, held_out: int) -> Iterator[str]:
    judged = {
        epoch["epoch"]: epoch["held_out_robust"]
        for epoch in state.history
        if "held_out_robust" in epoch
    }
    if spec.evaluation.every_epochs > 1:
        yield f"The best epoch was chosen among one in {spec.evaluation.every_epochs}: {len(judged)} of {spec.schedule.epochs}."
    elif len(judged) < FEW_EPOCHS:
        yield f"The best epoch was chosen among {len(judged)}: so short a training says little of what a method can do."
    if held_out < FEW_HELD_OUT and state.best_epoch is not None:
        points = 100 * standard_error(judged[state.best_epoch], held_out)
        yield (
            f"The best epoch was chosen on {held_out} held-out images: the accuracy it was chosen by has a standard error of "
            f"{points:.1f} points, and another epoch may be as good."
        )


# -- what was found


def _of_the_results(measured: Measured) -> Iterator[str]:
    for role, results in measured.items():
        for name, entry in results.items():
            if role == "last" and entry == measured["best"].get(name):
                continue  # the last epoch is the best
            for sentence in [
                *entry.get("notes", []),
                *entry.get("warnings", []),
                *_of_the_entry(entry),
            ]:
                yield f"{title_of(name)}, {ROLES[role]}: {sentence}"


def _of_the_entry(entry: dict[str, Any]) -> Iterator[str]:
    if count := entry.get("non_finite"):
        yield f"{count} images met logits that are not finite; they count as not classified correctly."
    square = entry.get("stages", {}).get("square")
    if square and square["broken"] > MASKING_POINTS * entry["images"]:
        yield (
            f"Square broke {square['broken']} images that attacks with gradients had left standing: "
            "the network may mask its gradients."
        )
