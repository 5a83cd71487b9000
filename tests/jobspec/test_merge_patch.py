"""JSON merge patches on specs."""

from typing import Any

import pytest

from core.jobspec.merge_patch import apply_patch, merge


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_examples_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    assert merge(target, patch) == result


def test_object_whose_kind_changes_is_replaced() -> None:
    spec: dict[str, Any] = {
        "name": "job",
        "method": {
            "name": "starship",
            "beta": 0.5,
            "gram": {"distance": {"name": "max_exp", "eta": 3}},
        },
        "seed": 1,
    }
    assert apply_patch(spec, {"name": "other"}) == {**spec, "name": "other"}
    assert apply_patch(spec, {"method": {"name": "arkd"}})["method"] == {"name": "arkd"}
    gram = apply_patch(spec, {"method": {"gram": {"distance": {"name": "frobenius"}}}})["method"]
    assert gram == {"name": "starship", "beta": 0.5, "gram": {"distance": {"name": "frobenius"}}}
    assert (
        apply_patch(spec, {"method": {"name": "starship", "beta": 0.9}})["method"]["gram"]
        == spec["method"]["gram"]
    )


def test_metadata_is_merged_whatever_its_keys() -> None:
    assert apply_patch({"metadata": {"name": "a", "b": "c"}}, {"metadata": {"name": "z"}}) == {
        "metadata": {"name": "z", "b": "c"}
    }
