"""The jobs that a sweep expands to."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.jobspec.sweep import MAX_JOBS, SweepSpec, expand
from tests.builders import distillation_body


def sweep(**parts: Any) -> SweepSpec:
    return SweepSpec.model_validate({"base": distillation_body(), **parts})


def test_every_row_meets_every_combination_of_axis_values() -> None:
    points = list(
        expand(
            sweep(
                rows=[
                    {"name": "slow"},
                    {"name": "fast", "changes": {"schedule": {"learning_rate": 0.2}}},
                ],
                axes={"method.beta": [0.2, 0.8], "seed": [3, 4]},
            )
        )
    )
    assert [
        (
            point.line_name,
            point.body["seed"],
            point.body["method"]["beta"],
            point.body["schedule"]["learning_rate"],
        )
        for point in points
    ] == [
        ("slow, method.beta 0.2", 3, 0.2, 0.1),
        ("slow, method.beta 0.2", 4, 0.2, 0.1),
        ("slow, method.beta 0.8", 3, 0.8, 0.1),
        ("slow, method.beta 0.8", 4, 0.8, 0.1),
        ("fast, method.beta 0.2", 3, 0.2, 0.2),
        ("fast, method.beta 0.2", 4, 0.2, 0.2),
        ("fast, method.beta 0.8", 3, 0.8, 0.2),
        ("fast, method.beta 0.8", 4, 0.8, 0.2),
    ]
    assert (
        len(points)
        == sweep(
            rows=[{"name": "a"}, {"name": "b"}], axes={"method.beta": [0.2, 0.8], "seed": [3, 4]}
        ).size
    )


def test_axis_takes_names_of_methods_and_their_settings() -> None:
    points = list(expand(sweep(axes={"method": ["rslad", {"name": "starship", "adaptive": True}]})))
    assert [point.body["method"] for point in points] == [
        {"name": "rslad"},
        {"name": "starship", "adaptive": True},
    ]
    assert [point.line_name for point in points] == ["rslad", "starship {adaptive: true}"]


def test_another_method_replaces_the_base_one_as_a_whole() -> None:
    base = distillation_body(method={"name": "starship", "beta": 0.5})
    same, other = expand(SweepSpec(base=base, axes={"method": ["starship", "rslad"]}))
    assert same.body["method"] == {"name": "starship", "beta": 0.5}
    assert other.body["method"] == {"name": "rslad"}


def test_jobs_have_titles_and_the_metadata_of_the_sweep() -> None:
    base = distillation_body(metadata={"team": "a", "why": "base"})
    points = list(
        expand(
            SweepSpec(
                name="betas",
                metadata={"why": "sweep"},
                base=base,
                axes={"method.beta": [0.5], "seed": [7]},
            )
        )
    )
    assert points[0].body["name"] == "betas: method.beta 0.5, seed 7"
    assert points[0].body["metadata"] == {"team": "a", "why": "sweep"}


def test_table_averages_over_evaluation_seeds_too() -> None:
    points = list(expand(sweep(axes={"evaluation.seed": [0, 1]})))
    assert {point.line_name for point in points} == {"base"}
    assert [point.body["evaluation"]["seed"] for point in points] == [0, 1]


def test_base_is_not_modified() -> None:
    base = distillation_body()
    list(expand(SweepSpec(base=base, axes={"schedule.epochs": [5, 6]})))
    assert base == distillation_body()


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"axes": {"seed": []}}, "the axis 'seed' has no values"),
        ({"rows": [{"name": "a"}, {"name": "a"}]}, "two rows are named 'a'"),
        (
            {"axes": {"seed": list(range(MAX_JOBS + 1))}},
            f"this makes {MAX_JOBS + 1} jobs; a sweep has at most {MAX_JOBS}",
        ),
        ({"axes": {"method": ["arkd"], "method.beta": [0.1]}}, "overlaps with another axis"),
        ({"axes": {"../seed": [1]}}, "should match pattern"),
        ({"axis": {}}, "Extra inputs are not permitted"),
    ],
)
def test_invalid_sweep_is_refused_with_a_sentence(parts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        sweep(**parts)


# -- limits, names and titles, by hand


def test_sweep_at_its_limits_is_accepted() -> None:
    assert sweep().size == 1
    assert sweep(axes={"seed": list(range(300))}).size == 300
    assert sweep(rows=[{"name": str(number)} for number in range(100)], axes={"seed": [0, 1, 2]})
    with pytest.raises(ValidationError, match="this makes 303 jobs; a sweep has at most 300"):
        sweep(rows=[{"name": str(number)} for number in range(101)], axes={"seed": [0, 1, 2]})
    # Only a part of another axis overlaps with it, not what merely begins like it.
    assert sweep(axes={"igdm.weight": [1.0], "igdm.forward": [1.0]}).size == 1


def test_sweep_without_rows_and_axes_is_its_base() -> None:
    (point,) = expand(sweep(base={"kind": "evaluation"}))
    assert (point.line_name, point.settings) == ("base", {})
    assert point.body == {"kind": "evaluation", "name": "base"}


@pytest.mark.parametrize(
    ("path", "value", "field", "title"),
    [
        ("method", "rslad", "name", "rslad"),
        ("adversary", "n_fgsm", "name", "n_fgsm"),
        ("averaging", "swa", "name", "swa"),
        ("schedule.decay", "cosine", "name", "cosine"),
        ("student", "resnet18", "architecture", "resnet18"),
        ("data.dataset", "cifar10", None, "data.dataset cifar10"),
        ("igdm", None, None, "igdm null"),
        ("schedule.nesterov", True, None, "schedule.nesterov true"),
        ("student", {"architecture": "deit_s"}, None, "deit_s"),
        (
            "student",
            {"architecture": "deit_s", "patch_size": 8},
            None,
            "deit_s {patch_size: 8}",
        ),
        ("awp", {"gamma": 0.5}, None, 'awp {"gamma": 0.5}'),
    ],
)
def test_values_and_titles_of_axes(path: str, value: Any, field: str | None, title: str) -> None:
    """A text that says of what kind an object is stands for the object."""
    (point,) = expand(sweep(base={}, axes={path: [value]}))
    assert point.line_name == title
    inner: Any = point.body
    *outer, last = path.split(".")
    for key in outer:
        inner = inner[key]
    assert inner.get(last) == (value if field is None else {field: value})


def test_name_of_a_job_is_its_own_or_that_of_its_line() -> None:
    named = sweep(name="grid", base={"name": "mine"}, axes={"seed": [1]})
    assert [point.body["name"] for point in expand(named)] == ["mine"]
    rows = sweep(
        name="grid", base={}, rows=[{"name": "a"}], axes={"seed": [1], "evaluation.seed": [2]}
    )
    (point,) = expand(rows)
    assert point.title == "a, seed 1, evaluation.seed 2"
    assert point.body["name"] == "grid: a, seed 1, evaluation.seed 2"
    (unnamed,) = expand(sweep(base={}, rows=[{"name": "a"}]))
    assert unnamed.body["name"] == "a"
    (long,) = expand(sweep(base={}, axes={"data.dataset": ["x" * 300]}))
    assert long.body["name"] == "data.dataset " + "x" * 187
    (with_zero,) = expand(sweep(base={}, axes={"data.dataset": ["a\0b"]}))
    assert with_zero.body["name"] == "data.dataset ab"


def test_labels_of_base_and_sweep_are_merged() -> None:
    (point,) = expand(sweep(base={"metadata": None}, metadata={"a": "1"}))
    assert point.body["metadata"] == {"a": "1"}
    (unlabeled,) = expand(sweep(base={}))
    assert "metadata" not in unlabeled.body
