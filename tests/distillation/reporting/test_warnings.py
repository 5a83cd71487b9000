"""A sentence for everything that makes a number less than standard, and no sentence for what does not."""

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
STANDARD = [{"name": "pgd"}, {"name": "cw"}, {"name": "autoattack"}]


def judged(epochs: int) -> list[dict[str, float]]:
    return [{"epoch": epoch, "held_out_robust": 0.5} for epoch in range(1, epochs + 1)]


def sentences(
    images: dict[str, int] | None = None,
    measured: dict[str, Any] | None = None,
    epochs: int = 200,
    **changes: Any,
) -> list[str]:
    """Of a training job that is standard but for ``changes``."""
    evaluation = {"attacks": STANDARD, **changes.pop("evaluation", {})}
    body = {
        "data": {"dataset": "cifar10"},
        "schedule": {"epochs": epochs},
        "evaluation": evaluation,
        **changes,
    }
    state = RunState(history=judged(epochs), best_epoch=1, measured=measured or {})
    return report_warnings(resolve(training_spec(**body), CIFAR), state, CIFAR, {**IMAGES, **(images or {})})


def of_an_evaluation(**changes: Any) -> list[str]:
    body = {
        "model": "mdl_1",
        "data": {"dataset": "cifar10"},
        "evaluation": {"attacks": STANDARD},
        **changes,
    }
    return report_warnings(
        resolve(EvaluationJobSpec.model_validate(body), CIFAR), RunState(), CIFAR, {"test": 10_000}
    )


def test_of_a_standard_training_nothing_is_said_but_that_it_is_one_run() -> None:
    assert sentences() == [ONE_SEED]


def test_of_a_standard_evaluation_nothing_is_said_but_that_the_models_choice_is_unknown() -> None:
    assert of_an_evaluation() == [UNKNOWN_SELECTION]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": {"test": 2000}}, "Only 2000 of 10000 test images"),
        ({"images": {"training": 10_000}}, "Only 11000 of 50000 training images"),
        ({"images": {"held_out": 200, "training": 49_800}}, "200 held-out images"),
        ({"evaluation": {"attacks": [{"name": "pgd"}]}}, "AutoAttack was not run"),
        (
            {"evaluation": {"attacks": [{"name": "autoattack", "norm": "l2", "radius": 0.5}]}},
            "AutoAttack was not run",
        ),
        (
            {"evaluation": {"attacks": [{"name": "autoattack", "queries": 100}]}},
            "100 queries of 5000",
        ),
        (
            {"evaluation": {"attacks": [{"name": "autoattack", "iterations": 20}]}},
            "20 iterations of 100",
        ),
        (
            {"evaluation": {"attacks": [{"name": "autoattack", "stages": ["apgd-ce"]}]}},
            "stages apgd-ce",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "pgd", "steps": 10}]}},
            "PGD was run with 10 steps; 20",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "cw", "steps": 10}]}},
            "CW was run with 10 steps; 30",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "pgd", "step_size": 0.001}]}},
            "PGD was run with a step of 0.001",
        ),
        (
            {"evaluation": {"attacks": [*STANDARD, {"name": "cw", "confidence": 0}]}},
            "confidence of 0; 50",
        ),
        ({"evaluation": {"attacks": [{"name": "autoattack", "radius": 0.01}]}}, "radius 0.01"),
        (
            {
                "evaluation": {
                    "attacks": STANDARD,
                    "analyses": [{"name": "radius_sweep", "steps": 5}],
                }
            },
            "PGD had 5 steps",
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
        ({"evaluation": {"every_epochs": 2}}, "one in 2"),
        ({"epochs": 3}, "chosen among 3"),
        ({"averaging": {"name": "ema"}}, "average of its weights"),
        (
            {"data": {"dataset": "cifar10", "extra": {"dataset": "more"}}},
            "70% of every batch were extra",
        ),
    ],
    ids=str,
)
def test_whatever_makes_a_number_less_than_standard_is_said(
    changes: dict[str, Any], words: str
) -> None:
    sentence, one_seed = sentences(**changes)
    assert words in sentence
    assert one_seed == ONE_SEED


def test_a_small_test_set_is_said_though_all_of_it_is_used() -> None:
    small = CIFAR.model_copy(update={"test_images": 360})
    spec = resolve(
        EvaluationJobSpec.model_validate({"model": "mdl_1", "data": {"dataset": "a"}}), small
    )
    found = report_warnings(spec, RunState(), small, {"test": 360})
    assert any(
        "360 test images are few" in sentence and "10.3 points wide" in sentence
        for sentence in found
    )
    assert not any("Only" in sentence for sentence in found)


def test_a_limit_that_leaves_all_images_is_no_subset() -> None:
    assert sentences(
        evaluation={"limit": 20_000}, data={"dataset": "cifar10", "limit": 60_000}
    ) == [ONE_SEED]


def test_the_standard_error_of_a_choice_among_few_images_is_that_of_its_accuracy() -> None:
    (sentence, _) = sentences(images={"held_out": 100, "training": 49_900})
    assert "standard error of 4.9 points" in sentence


def test_an_evaluation_is_warned_of_its_own_radius() -> None:
    (sentence, _) = of_an_evaluation(
        radius="8/255", evaluation={"attacks": [{"name": "autoattack", "radius": "4/255"}]}
    )
    assert sentence == "autoattack was run at radius 0.01569, this evaluation is of 0.03137."


# -- what was found


def entry(**changes: Any) -> dict[str, Any]:
    return {"value": 0.4, "values": {}, "images": 1000, **changes}


def test_square_finding_what_gradients_did_not_is_said() -> None:
    def found(broken: int) -> list[str]:
        return sentences(
            measured={"best": {"autoattack": entry(stages={"square": {"broken": broken}})}}
        )

    assert "AutoAttack, best epoch: Square broke 3 images" in found(3)[0]
    assert "mask its gradients" in found(3)[0]
    assert found(2) == [ONE_SEED]


def test_logits_that_are_no_numbers_are_said() -> None:
    found = sentences(measured={"best": {"clean": entry(non_finite=2)}})
    assert (
        found[0]
        == "Clean, best epoch: 2 images met logits that are not finite; they count as not classified correctly."
    )


def test_what_a_measure_itself_warns_of_is_said_with_its_name() -> None:
    found = sentences(
        measured={
            "best": {
                "gradient_masking": entry(warnings=["Noise did more."]),
                "cw": entry(notes=["So."]),
            }
        }
    )
    assert found[:2] == ["Gradient masking, best epoch: Noise did more.", "CW, best epoch: So."]


def test_nothing_is_said_twice_where_the_last_epoch_is_the_best() -> None:
    results = {"autoattack": entry(notes=["3 classes."])}
    assert len(sentences(measured={"best": results, "last": results})) == 2
    other = {"autoattack": entry(value=0.3, notes=["3 classes."])}
    assert len(sentences(measured={"best": results, "last": other})) == 3
