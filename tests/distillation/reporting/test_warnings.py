"""A warning for everything that makes a number less than standard, and for nothing else."""

from typing import Any

import pytest

from core.distillation.reporting.warnings import ONE_SEED, UNKNOWN_SELECTION, report_warnings
from core.distillation.run_state import RunState
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from tests.builders import dataset_description
from tests.distillation.folders import training_spec

CIFAR = dataset_description(
    classes=10, class_names=tuple("0123456789"), train_images=50_000, test_images=10_000
)
IMAGES = {"training": 49_000, "held_out": 1000, "test": 10_000}
STANDARD: list[dict[str, Any]] = [{"name": "pgd"}, {"name": "cw"}, {"name": "autoattack"}]
AUTOATTACK_L2 = {"name": "autoattack", "norm": "l2", "radius": 0.5}


def history(epochs: int) -> list[dict[str, float]]:
    return [{"epoch": epoch, "held_out_robust": 0.5} for epoch in range(1, epochs + 1)]


def training_warnings(
    images: dict[str, int] | None = None,
    measured: dict[str, Any] | None = None,
    epochs: int = 200,
    **changes: Any,
) -> list[str]:
    """Return the warnings of a training job that is standard but for the arguments."""
    evaluation = {"attacks": STANDARD, **changes.pop("evaluation", {})}
    body = {
        "data": {"dataset": "cifar10"},
        "adversary": {"name": "pgd", "radius": "8/255"},
        "schedule": {"epochs": epochs},
        "evaluation": evaluation,
        **changes,
    }
    spec = resolve(training_spec(**body), CIFAR)
    state = RunState(history=history(epochs), best_epoch=1, measured=measured or {})
    return report_warnings(spec, state, CIFAR, {**IMAGES, **(images or {})})


def evaluation_warnings(**changes: Any) -> list[str]:
    """Return the warnings of an evaluation job that is standard but for ``changes``."""
    body = {
        "model": "mdl_1",
        "data": {"dataset": "cifar10"},
        "evaluation": {"attacks": STANDARD},
        **changes,
    }
    spec = resolve(EvaluationJobSpec.model_validate(body), CIFAR)
    return report_warnings(spec, RunState(), CIFAR, {"test": 10_000})


def test_a_standard_training_is_only_a_single_run() -> None:
    assert training_warnings() == [ONE_SEED]


def test_a_standard_evaluation_has_an_unknown_selection_only() -> None:
    assert evaluation_warnings() == [UNKNOWN_SELECTION]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": {"test": 2000}}, "Only 2000 of 10000 test images"),
        ({"images": {"training": 10_000}}, "Only 11000 of 50000 training images"),
        ({"images": {"held_out": 200, "training": 49_800}}, "200 held-out images"),
        (
            {"evaluation": {"attacks": [{"name": "pgd"}]}},
            "AutoAttack was not run under L∞, 8/255. Robust accuracy under PGD or CW alone",
        ),
        (
            {"evaluation": {"attacks": [{"name": "autoattack", "queries": 100}]}},
            "100 queries instead of 5000",
        ),
        (
            {"evaluation": {"attacks": [{"name": "autoattack", "iterations": 20}]}},
            "20 iterations instead of 100",
        ),
        (
            {"evaluation": {"attacks": [{"name": "autoattack", "stages": ["apgd-ce"]}]}},
            "stages apgd-ce",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "pgd", "steps": 10}]}},
            "PGD-10, L∞, 8/255, was run with 10 steps instead of the usual 20",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "cw", "steps": 10}]}},
            "CW-10, L∞, 8/255, was run with 10 steps instead of the usual 30",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "pgd", "step_size": 0.001}]}},
            "was run with a step size of 0.001 instead of 2/255",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "cw", "confidence": 0}]}},
            "confidence of 0 instead of the usual 50",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, AUTOATTACK_L2]}},
            "AutoAttack was run under L2, 0.5, another threat model than that of the training "
            "(L∞, 8/255)",
        ),
        (
            {
                "evaluation": {
                    "attacks": STANDARD,
                    "analyses": [{"name": "radius_sweep", "steps": 5}],
                }
            },
            "PGD with 5 steps",
        ),
        (
            {
                "evaluation": {
                    "attacks": STANDARD,
                    "analyses": [{"name": "gradient_masking", "queries": 9}],
                }
            },
            "9 queries",
        ),
        ({"evaluation": {"every_epochs": 2}}, "one epoch in 2"),
        ({"epochs": 3}, "chosen from only 3"),
        ({"averaging": {"name": "ema"}}, "weights are an average"),
        (
            {"data": {"dataset": "cifar10", "extra": {"dataset": "more"}}},
            "70% of every batch were extra",
        ),
    ],
    ids=str,
)
def test_every_departure_from_the_standard_has_a_warning(
    changes: dict[str, Any], words: str
) -> None:
    warning, one_seed = training_warnings(**changes)
    assert words in warning
    assert one_seed == ONE_SEED


def test_a_small_test_set_has_a_warning() -> None:
    """Though all of its images are used."""
    small = CIFAR.model_copy(update={"test_images": 360})
    spec = EvaluationJobSpec.model_validate({"model": "mdl_1", "data": {"dataset": "a"}})
    warnings = report_warnings(resolve(spec, small), RunState(), small, {"test": 360})
    assert any(
        "only 360 test images" in warning and "10.3 points wide" in warning for warning in warnings
    )
    assert not any("Only" in warning for warning in warnings)


def test_a_limit_above_the_number_of_images_is_no_subset() -> None:
    warnings = training_warnings(
        evaluation={"limit": 20_000}, data={"dataset": "cifar10", "limit": 60_000}
    )
    assert warnings == [ONE_SEED]


def test_few_held_out_images_have_their_standard_error() -> None:
    """That of the accuracy by which the best epoch was chosen."""
    warning, _ = training_warnings(images={"held_out": 100, "training": 49_900})
    assert "standard error of 4.9 points" in warning


def test_an_evaluation_is_compared_with_its_own_radius() -> None:
    attacks = [*STANDARD, {"name": "autoattack", "radius": "4/255"}]
    warning, _ = evaluation_warnings(radius="8/255", evaluation={"attacks": attacks})
    assert warning == (
        "AutoAttack was run under L∞, 4/255, another threat model than that of the evaluation "
        "(L∞, 8/255): accuracies under the two cannot be compared."
    )


def test_autoattack_elsewhere_says_nothing_of_a_threat_model() -> None:
    """In another norm, or at another radius."""
    for attack in (AUTOATTACK_L2, {"name": "autoattack", "radius": "4/255"}):
        attacks = [{"name": "pgd"}, {"name": "pgd", "radius": "16/255"}, attack]
        missing, *_ = evaluation_warnings(evaluation={"attacks": attacks})
        assert missing.startswith("AutoAttack was not run under L∞, 8/255; L∞, 16/255.")


def test_attacks_of_one_foreign_threat_model_share_a_warning() -> None:
    far = [{"name": name, "radius": "16/255"} for name in ("pgd", "cw", "autoattack")]
    warning, _ = evaluation_warnings(evaluation={"attacks": [*STANDARD, *far]})
    assert warning.startswith("PGD-20 and CW-30 and AutoAttack were run under L∞, 16/255, another")


# -- results


def entry(**changes: Any) -> dict[str, Any]:
    return {"value": 0.4, "values": {}, "images": 1000, **changes}


def test_square_beyond_the_gradient_attacks_has_a_warning() -> None:
    def square_warnings(broken: int) -> list[str]:
        stages = {"apgd-ce": {"broken": 9}, "square": {"broken": broken}}
        measured = {"best": {"autoattack@linf:8/255": entry(stages=stages)}}
        return training_warnings(measured=measured)

    warning = square_warnings(3)[0]
    assert "AutoAttack, L∞, 8/255, best epoch: Square broke 3 images" in warning
    assert "mask its gradients" in warning
    assert square_warnings(2) == [ONE_SEED]


def test_non_finite_logits_have_a_warning() -> None:
    warnings = training_warnings(measured={"best": {"clean": entry(non_finite=2)}})
    assert warnings[0] == (
        "Clean, best epoch: For 2 images the network's logits were not finite; these images count "
        "as misclassified."
    )


def test_warnings_of_a_measure_begin_with_its_title() -> None:
    masking = entry(warnings=["Noise did more."])
    cw = entry(notes=["So."])
    warnings = training_warnings(
        measured={"best": {"gradient_masking": masking, "cw-30@linf:8/255": cw}}
    )
    assert warnings[:2] == [
        "Gradient masking, best epoch: Noise did more.",
        "CW-30, L∞, 8/255, best epoch: So.",
    ]


def test_the_best_epochs_warnings_are_not_repeated() -> None:
    """Where the last epoch is the best one."""
    results = {"autoattack@linf:8/255": entry(notes=["3 classes."])}
    assert len(training_warnings(measured={"best": results, "last": results})) == 2
    other = {"autoattack@linf:8/255": entry(value=0.3, notes=["3 classes."])}
    assert len(training_warnings(measured={"best": results, "last": other})) == 3
