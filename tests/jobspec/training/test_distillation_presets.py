"""`preset: reference` of the distillation methods: every setting, by data set.

Read from the authors' code at the commits that docs/methods.md names.
"""

from typing import Any

import pytest

from core.jobspec.defaults import resolve
from core.jobspec.job import parse_submitted
from core.jobspec.resolved import parse
from core.jobspec.training.presets import PART_SETTINGS, PART_SETTINGS_BY_CLASSES
from tests.builders import dataset_description

STUDENT: dict[str, Any] = {"student": {"architecture": "resnet18"}, "data": {"dataset": "any"}}


def reference(method: str | dict[str, Any], classes: int, **changes: Any) -> Any:
    """Return a job by the preset, for a data set of so many classes, as it is stored."""
    settings = {"name": method} if isinstance(method, str) else method
    kind = {"kind": "distillation", "teacher": "t"}
    if settings["name"] in ("trades", "pgd_at"):
        kind = {"kind": "adversarial_training"}
    body = {**kind, **STUDENT, "preset": "reference", "method": settings, **changes}
    return resolve(parse_submitted(body), dataset_description(classes=classes))


def pgd(start: str, student_mode: str) -> dict[str, Any]:
    return {
        "name": "pgd",
        "radius": 8 / 255,
        "step_size": 2 / 255,
        "steps": 10,
        "start": start,
        "student_mode": student_mode,
    }


def assert_schedule(
    spec: Any,
    *,
    epochs: int,
    weight_decay: float,
    milestones: tuple[int, ...],
    batch_size: int = 128,
) -> None:
    schedule = spec.schedule
    assert schedule.decay.name == "multi_step"
    assert (schedule.epochs, schedule.batch_size) == (epochs, batch_size)
    assert (schedule.learning_rate, schedule.momentum, schedule.nesterov) == (0.1, 0.9, False)
    assert schedule.weight_decay == weight_decay
    assert (schedule.decay.milestones, schedule.decay.factor) == (milestones, 0.1)


@pytest.mark.parametrize(("classes", "batch_size"), [(10, 128), (99, 128), (100, 256), (200, 256)])
def test_reference_of_ard(classes: int, batch_size: int) -> None:
    """Its batches have 256 images on CIFAR-100; its second milestone sets the same rate again."""
    spec = reference("ard", classes)
    assert spec.method.model_dump() == {
        "name": "ard",
        "alpha": 1.0,
        "temperature": 30.0,
        "reduction": "mean",
        "statistics_passes": True,
    }
    assert spec.adversary.model_dump() == pgd("uniform_unclamped", "train")
    assert_schedule(spec, epochs=200, weight_decay=2e-4, milestones=(100,), batch_size=batch_size)


@pytest.mark.parametrize("classes", [10, 100])
def test_reference_of_iad(classes: int) -> None:
    spec = reference("iad", classes)
    assert spec.method.model_dump() == {
        "name": "iad",
        "temperature": 1.0,
        "exponent": 0.1,
        "begin": 60,
        "weigh_teacher": False,
        "statistics_passes": True,
    }
    assert spec.adversary.model_dump() == pgd("uniform_unclamped", "train")
    assert_schedule(spec, epochs=200, weight_decay=2e-4, milestones=(100,))


@pytest.mark.parametrize("classes", [10, 43, 100, 200])
def test_reference_of_rslad(classes: int) -> None:
    spec = reference("rslad", classes)
    assert spec.method.model_dump() == {
        "name": "rslad",
        "clean_weight": 1 / 6,
        "reduction": "batch_mean_over_10",
    }
    assert spec.adversary.model_dump() == pgd("gaussian", "eval")
    assert_schedule(spec, epochs=300, weight_decay=2e-4, milestones=(215, 260, 285))


@pytest.mark.parametrize(
    ("classes", "reduction"),
    [(10, "mean"), (99, "mean"), (100, "batch_mean"), (200, "batch_mean")],
)
def test_reference_of_adaad(classes: int, reduction: str) -> None:
    spec = reference("adaad", classes)
    assert spec.method.model_dump() == {
        "name": "adaad",
        "alpha": 1.0,
        "reduction": reduction,
        "statistics_passes": True,
    }
    assert spec.adversary.model_dump() == pgd("gaussian", "eval")
    assert_schedule(spec, epochs=200, weight_decay=5e-4, milestones=(100, 150))


@pytest.mark.parametrize("method", ["starship", "arkd", "akd"])
@pytest.mark.parametrize("classes", [10, 100])
def test_methods_without_public_code_keep_the_defaults(method: str, classes: int) -> None:
    plain = reference(method, classes, preset=None)
    assert reference(method, classes) == plain.model_copy(update={"preset": "reference"})


# -- settings that depend on the number of classes


@pytest.mark.parametrize("reduction", ["mean", "batch_mean", "batch_mean_over_10"])
@pytest.mark.parametrize("classes", [10, 100])
def test_callers_reduction_wins(reduction: str, classes: int) -> None:
    spec = reference({"name": "adaad", "reduction": reduction}, classes)
    assert spec.method.reduction == reduction
    assert spec.method.statistics_passes is True


@pytest.mark.parametrize("classes", [10, 100])
def test_callers_batch_size_wins(classes: int) -> None:
    spec = reference("ard", classes, schedule={"batch_size": 32})
    assert (spec.schedule.batch_size, spec.schedule.weight_decay) == (32, 2e-4)


@pytest.mark.parametrize("classes", [10, 100])
def test_without_the_preset_classes_change_nothing(classes: int) -> None:
    ard = reference("ard", classes, preset=None)
    adaad = reference("adaad", classes, preset=None, igdm={})
    assert ard.schedule.batch_size == 128
    assert adaad.method.reduction == "batch_mean"
    assert adaad.igdm.weight == 1.0


# -- parts beside the method


@pytest.mark.parametrize(
    ("method", "classes", "weight"),
    [
        ("adaad", 10, 1.0),
        ("adaad", 100, 10.0),
        ("adaad", 200, 10.0),
        ("rslad", 100, 1.0),
        ("ard", 100, 1.0),
        ("starship", 100, 1.0),
    ],
)
def test_reference_weight_of_igdm(method: str, classes: int, weight: float) -> None:
    """Its authors weigh it beside losses that are batch means, as AdaAD's is with it."""
    spec = reference(method, classes, igdm={})
    igdm = {"weight": weight, "forward": 1.0, "backward": 1.0}
    assert spec.igdm.model_dump() == igdm


@pytest.mark.parametrize("classes", [10, 100])
def test_reference_of_igdm_beside_adaad(classes: int) -> None:
    """Its authors train AdaAD by the batch mean, without the clean pass, with less decay."""
    spec = reference("adaad", classes, igdm={})
    assert spec.method.model_dump() == {
        "name": "adaad",
        "alpha": 1.0,
        "reduction": "batch_mean",
        "statistics_passes": False,
    }
    assert spec.adversary.model_dump() == pgd("gaussian", "eval")
    assert_schedule(spec, epochs=200, weight_decay=2e-4, milestones=(100, 150))


def test_callers_settings_of_igdm_win() -> None:
    spec = reference("adaad", 100, igdm={"weight": 3.0}, schedule={"weight_decay": 1e-3})
    assert spec.igdm.weight == 3.0
    assert spec.schedule.weight_decay == 1e-3


@pytest.mark.parametrize("part", ["igdm", "awp"])
def test_preset_adds_no_part(part: str) -> None:
    for method in ("adaad", "rslad"):
        assert getattr(reference(method, 100), part) is None
        without = reference(method, 100, **{part: None})
        assert getattr(without, part) is None
        assert without == reference(method, 100)


def test_reference_of_awp_beside_trades() -> None:
    """Counting from 1, its tenth epoch is the first with AWP, its hundredth has a lower rate."""
    spec = reference("trades", 10, awp={})
    assert spec.awp.model_dump() == {"gamma": 0.005, "begin": 9}
    assert spec.adversary.model_dump() == pgd("gaussian", "eval")
    assert_schedule(spec, epochs=200, weight_decay=5e-4, milestones=(99, 149))


def test_reference_of_awp_beside_pgd_at() -> None:
    spec = reference("pgd_at", 10, awp={})
    assert spec.awp.model_dump() == {"gamma": 0.01, "begin": 0}
    assert_schedule(spec, epochs=200, weight_decay=5e-4, milestones=(100, 150))


def test_every_part_with_a_reference_is_tested() -> None:
    assert set(PART_SETTINGS) == {("igdm", "adaad"), ("awp", "pgd_at"), ("awp", "trades")}
    assert set(PART_SETTINGS_BY_CLASSES) == {("igdm", "adaad")}


# -- what is stored


@pytest.mark.parametrize("method", ["ard", "iad", "adaad", "rslad"])
@pytest.mark.parametrize("classes", [10, 100])
def test_stored_reference_is_read_as_it_was(method: str, classes: int) -> None:
    spec = reference(method, classes, igdm={})
    assert parse(spec.model_dump(mode="json")) == spec


def test_stored_spec_of_an_earlier_release_gets_no_new_preset() -> None:
    """A field that it lacks gets its default, which is what its job did."""
    stored = reference("iad", 10, igdm={}).model_dump(mode="json")
    del stored["method"]["statistics_passes"]
    stored["adversary"]["start"] = "uniform"
    del stored["schedule"]["weight_decay"]
    spec: Any = parse(stored)
    assert (spec.method.statistics_passes, spec.method.begin) == (False, 60)
    assert spec.adversary.start == "uniform"
    assert spec.schedule.weight_decay == 5e-4


@pytest.mark.parametrize("method", ["trades", "pgd_at"])
def test_stored_adversarial_training_gets_no_new_preset(method: str) -> None:
    stored = reference(method, 10).model_dump(mode="json")
    assert stored["method"]["statistics_passes"] is True
    del stored["method"]["statistics_passes"]
    spec: Any = parse(stored)
    assert spec.method.statistics_passes is False
