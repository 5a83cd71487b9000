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
