"""Seconds from passes: arithmetic on the rows of finished jobs."""

from dataclasses import replace
from typing import Any

import pytest

from api.submission.cost.rates import (
    CLOSE_MARGINS,
    DISTANT_MARGIN,
    SAME_MARGINS,
    CostSettings,
    Prediction,
    predict,
)
from core.jobspec.cost.settings import TimeSettings
from core.store.database.tables import DEFAULT_PROJECT, JobCostRow

STUDENT = {"architecture": "small_cnn", "width": 16}
TEACHER = {"architecture": "small_cnn", "width": 32}
SETTINGS = CostSettings(
    project_id=DEFAULT_PROJECT,
    architecture="small_cnn",
    student=STUDENT,
    teacher=TEACHER,
    settings_sha256="mine",
    time=TimeSettings("arkd", "fp32", False, 128, 32, training_passes=1000),
    attack_passes={"clean": 10, "pgd": 200},
    analysis_passes={"gradient_checks": 10},
    evaluations=2,
)


def row(**changes: Any) -> JobCostRow:
    """A job that took 0.1 s a training pass, 0.01 s a clean pass, 0.05 s a pass of PGD."""
    return JobCostRow(
        **{
            "job_id": "job_1",
            "project_id": DEFAULT_PROJECT,
            "device_kind": "cpu",
            "device_name": "a CPU",
            "architecture": "small_cnn",
            "student": STUDENT,
            "teacher": TEACHER,
            "method": "arkd",
            "precision": "fp32",
            "compiled": False,
            "batch_size": 128,
            "image_side": 32,
            "settings_sha256": "another",
            "training_passes": 500,
            "training_seconds": 50.0,
            "evaluated_networks": 2,
            "measures": {
                "clean": {"passes": 20, "seconds": 0.2},
                "pgd": {"passes": 400, "seconds": 20.0},
                "gradient_checks": {"passes": 10, "seconds": 1.0},
            },
            "other_seconds": 4.0,
            **changes,
        }
    )


def predicted(*rows: JobCostRow, **changes: Any) -> Prediction:
    prediction = predict(replace(SETTINGS, **changes), rows)
    assert prediction is not None
    return prediction


def test_nothing_is_known_without_jobs() -> None:
    assert predict(SETTINGS, []) is None


def test_each_part_has_its_own_rate() -> None:
    prediction = predicted(row())
    # 1000 training passes; clean and PGD on two networks; the checks on one; and the rest.
    expected = 100 + 2 * (10 * 0.01 + 200 * 0.05) + 1 + 4
    assert prediction.seconds.middle == pytest.approx(expected)
    assert prediction.jobs == 1
    assert not prediction.has_same_settings


def test_one_job_makes_a_wide_range() -> None:
    """Beside that, the last student may need no evaluation: then the best one is the last."""
    prediction = predicted(row())
    alone = 100 + (10 * 0.01 + 200 * 0.05) + 1 + 4
    assert prediction.seconds.low == pytest.approx(alone * (1 - CLOSE_MARGINS[0]))
    assert prediction.seconds.high == pytest.approx(prediction.seconds.middle * 1.35)


def test_several_jobs_give_median_and_range() -> None:
    jobs = [row(training_seconds=seconds) for seconds in (40.0, 50.0, 90.0)]
    rest = 2 * (10 * 0.01 + 200 * 0.05) + 1 + 4
    prediction = predicted(*jobs)
    assert prediction.seconds.middle == pytest.approx(100 + rest)
    assert prediction.seconds.high == pytest.approx((180 + rest) * (1 + CLOSE_MARGINS[1]))
    assert prediction.jobs == 3


def test_same_settings_are_not_converted() -> None:
    """The time of such a job is taken as it was, whatever others took."""
    same = row(settings_sha256="mine", training_seconds=70.0)
    prediction = predicted(same, row(), row())
    assert prediction.has_same_settings
    assert prediction.jobs == 1
    assert prediction.seconds.middle == pytest.approx(70 + 21.2 + 4)
    assert prediction.seconds.high == pytest.approx(95.2 * (1 + SAME_MARGINS[0]))


def test_same_settings_of_another_project_are_ordinary_jobs() -> None:
    """Otherwise a dry run would tell what another project has run."""
    prediction = predicted(row(settings_sha256="mine", project_id="prj_other"))
    assert not prediction.has_same_settings


@pytest.mark.parametrize(
    "changes",
    [
        {"student": {**STUDENT, "width": 64}},
        {"image_side": 64},
        {"teacher": None},
        {"precision": "bf16"},
        {"compiled": True},
    ],
    ids=str,
)
def test_unlike_jobs_tell_nothing(changes: dict[str, Any]) -> None:
    assert predict(SETTINGS, [row(**changes)]) is None


@pytest.mark.parametrize("changes", [{"method": "starship"}, {"batch_size": 256}], ids=str)
def test_distant_jobs_are_used_where_no_closer_one_is(changes: dict[str, Any]) -> None:
    distant = row(**changes, training_seconds=100.0)
    assert predicted(distant, row()).seconds.middle == predicted(row()).seconds.middle
    alone = predicted(distant)
    expected = 200 + 2 * (10 * 0.01 + 200 * 0.05) + 1 + 4
    assert alone.seconds.middle == pytest.approx(expected)
    assert alone.seconds.high == pytest.approx(expected * (1 + DISTANT_MARGIN))


def test_measures_are_learned_from_any_precision() -> None:
    """Evaluation is in fp32, whatever the training is in."""
    fast = {**row().measures, "pgd": {"passes": 400, "seconds": 40.0}}
    prediction = predicted(row(), row(precision="bf16", measures=fast))
    assert prediction.jobs == 1
    expected = 100 + 2 * (10 * 0.01 + 200 * 0.075) + 1 + 4
    assert prediction.seconds.middle == pytest.approx(expected)


def test_unknown_attack_gets_the_rate_of_training() -> None:
    attacks = {"clean": 10, "autoattack": 100}
    prediction = predicted(row(), attack_passes=attacks)
    assert prediction.seconds.middle == pytest.approx(100 + 2 * (0.1 + 10) + 1 + 4)
    assert prediction.seconds.high > 1.35 * prediction.seconds.middle


def test_evaluations_learn_from_trainings() -> None:
    evaluation = TimeSettings(None, "fp32", False, 256, 32, training_passes=0)
    prediction = predicted(row(), time=evaluation, teacher=None, evaluations=1)
    assert prediction.seconds.middle == pytest.approx(10 * 0.01 + 200 * 0.05 + 1 + 4)


def test_last_student_is_evaluated_as_often_as_before() -> None:
    prediction = predicted(row(evaluated_networks=1), row(evaluated_networks=2))
    assert prediction.seconds.middle == pytest.approx(100 + 1.5 * (0.1 + 10) + 1 + 4)
