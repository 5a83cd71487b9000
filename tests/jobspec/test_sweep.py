"""What a sweep unfolds into."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.jobspec.sweep import MAX_JOBS, SweepSpec, expand
from tests.builders import distillation_body


def sweep(**parts: Any) -> SweepSpec:
    return SweepSpec.model_validate({"base": distillation_body(), **parts})


def test_every_row_meets_every_combination_of_the_axes_values() -> None:
    found = list(
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
        (it.line_name, it.body["seed"], it.body["method"]["beta"], it.body["schedule"]["learning_rate"])
        for it in found
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
        len(found)
        == sweep(
            rows=[{"name": "a"}, {"name": "b"}], axes={"method.beta": [0.2, 0.8], "seed": [3, 4]}
        ).size
    )


def test_a_text_names_a_method_and_an_object_brings_its_settings() -> None:
    found = list(expand(sweep(axes={"method": ["rslad", {"name": "starship", "adaptive": True}]})))
    assert [it.body["method"] for it in found] == [
        {"name": "rslad"},
        {"name": "starship", "adaptive": True},
    ]
    assert [it.line_name for it in found] == ["rslad", "starship {adaptive: true}"]


def test_another_kind_of_thing_replaces_the_base_one_whole() -> None:
    base = distillation_body(method={"name": "starship", "beta": 0.5})
    same, other = expand(SweepSpec(base=base, axes={"method": ["starship", "rslad"]}))
    assert same.body["method"] == {"name": "starship", "beta": 0.5}
    assert other.body["method"] == {"name": "rslad"}


def test_jobs_are_named_for_their_place_and_carry_the_sweeps_metadata() -> None:
    base = distillation_body(metadata={"team": "a", "why": "base"})
    found = list(
        expand(
            SweepSpec(
                name="betas",
                metadata={"why": "sweep"},
                base=base,
                axes={"method.beta": [0.5], "seed": [7]},
            )
        )
    )
    assert found[0].body["name"] == "betas: method.beta 0.5, seed 7"
    assert found[0].body["metadata"] == {"team": "a", "why": "sweep"}


def test_the_seed_of_an_evaluation_is_averaged_over_too() -> None:
    found = list(expand(sweep(axes={"evaluation.seed": [0, 1]})))
    assert {it.line_name for it in found} == {"base"}
    assert [it.body["evaluation"]["seed"] for it in found] == [0, 1]


def test_the_base_is_left_as_it_is() -> None:
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
def test_what_makes_no_sense_is_refused_with_a_sentence(
    parts: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        sweep(**parts)
