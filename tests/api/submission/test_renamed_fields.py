"""A field under its former name is refused with a sentence that says the present one."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.builders import distillation_body, training_body

FORMER: dict[str, Any] = {"architecture": "small_cnn", "normalisation": "none"}
SWEEP = {"base": training_body(), "axes": {"student.normalisation": ["none"]}}
MODEL = {"name": "a", "network": FORMER, "classes": 10, "channels": 1, "height": 8, "width": 8}
HEADS = {"name": "starship", "covariance": {"heads": {"normalise": False}}}


@pytest.mark.parametrize(
    ("path", "body", "field", "present"),
    [
        ("/v1/jobs", training_body(student=FORMER), ["student", "normalisation"], "normalization"),
        ("/v1/sweeps", SWEEP, ["student", "normalisation"], "normalization"),
        ("/v1/models", MODEL, ["network", "normalisation"], "normalization"),
        (
            "/v1/jobs",
            distillation_body(method=HEADS),
            ["method", "covariance", "heads", "normalise"],
            "normalize",
        ),
    ],
)
def test_former_name_of_a_field_is_refused_with_its_present_one(
    client: TestClient, path: str, body: dict[str, Any], field: list[str], present: str
) -> None:
    response = client.post(path, json=body)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["path"][-len(field) :] == field
    assert error["message"].endswith(f"This field is called {present}.")
