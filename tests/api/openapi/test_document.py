"""openapi.json, the catalogue, and the documentation page without a browser."""

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from core.jobspec.network import ARCHITECTURES
from core.jobspec.training.methods import METHODS
from tests.builders import report_json


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_document_is_valid_and_needs_no_key(
    anonymous: TestClient, document: dict[str, Any]
) -> None:
    assert anonymous.get("/openapi.json").json() == document
    validate(document)


def test_no_address_is_also_that_of_an_item(document: dict[str, Any]) -> None:
    """Otherwise its other methods would be those of the item: DELETE /v1/jobs/counts."""
    fixed = [path for path in document["paths"] if "{" not in path]
    patterns = [re.sub(r"\{[^}]+\}", "[^/]+", path) for path in document["paths"] if "{" in path]
    assert not [
        (path, pattern) for path in fixed for pattern in patterns if re.fullmatch(pattern, path)
    ]


def test_errors_are_documented_as_problems(
    document: dict[str, Any],
) -> None:
    """Every error that an operation can response with."""
    for path, method, operation in operations(document):
        errors = {
            status: response
            for status, response in operation["responses"].items()
            if int(status) >= 400
        }
        expected = (
            {"500", "503"}
            if path in {"/healthz", "/readyz"}
            else {"401", "403", "422", "500", "503"}
        )
        expected |= {"404"} if "{" in path else set()
        expected |= (
            {"400", "413", "415"}
            if "application/json" in operation.get("requestBody", {}).get("content", {})
            else set()
        )
        assert expected <= set(errors), (path, method)
        for response in errors.values():
            assert list(response["content"]) == ["application/problem+json"], (path, method)


def test_operations_have_a_description_and_a_response(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations(document):
        assert operation["description"], (path, method)
        assert any(status < "400" for status in operation["responses"])
        assert "HTTPValidationError" not in str(operation)


def test_examples_of_submit_job_are_valid(client: TestClient, document: dict[str, Any]) -> None:
    examples = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"][
        "examples"
    ]
    assert len(examples) >= 2
    for example in examples.values():
        response = client.post("/v1/jobs?dry_run=true", json=example["value"])
        fields = {".".join(map(str, error["path"])) for error in response.json().get("errors", [])}
        # A fresh service has neither the teacher nor the data set of the first.
        assert fields <= {"teacher", "model", "data.dataset"}


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    for name in set(re.findall(r"#/components/schemas/([^'\"]+)", str(document))):
        assert name in document["components"]["schemas"]


def test_bounds_have_the_names_of_json_schema(document: dict[str, Any]) -> None:
    (limit,) = (
        parameter["schema"]
        for parameter in document["paths"]["/v1/jobs"]["get"]["parameters"]
        if parameter["name"] == "limit"
    )
    assert (limit["minimum"], limit["maximum"]) == (1, 200)
    assert re.findall(r'"[gl][et]": [0-9]', json.dumps(document)) == []


def test_catalogue_lists_architectures_and_methods(client: TestClient) -> None:
    architectures = client.get("/v1/architectures").json()["data"]
    assert [row["name"] for row in architectures] == list(ARCHITECTURES)
    assert (
        next(row for row in architectures if row["name"] == "resnet18")["parameters_10_classes"]
        == 11_173_962
    )
    methods = client.get("/v1/methods", params={"limit": 100}).json()["data"]
    assert [row["name"] for row in methods] == list(METHODS)
    kinds = {row["name"]: row["kind"] for row in methods}
    assert (kinds["starship"], kinds["trades"]) == ("distillation", "adversarial_training")
    assert all(row["summary"] and row["settings"]["properties"] for row in methods)
    summaries = {row["name"]: row["summary"] for row in methods}
    assert "clean and on adversarial images" in summaries["arkd"]  # more than the citation
    assert not any("\n" in summary for summary in summaries.values())


def test_report_schema_is_in_the_document_and_by_itself(
    client: TestClient, document: dict[str, Any]
) -> None:
    content = document["paths"]["/v1/jobs/{job_id}/report"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Report"}
    assert document["components"]["schemas"]["Report"]["properties"]["warnings"]["type"] == "array"
    alone = client.get("/v1/schemas/report")
    assert alone.headers["Content-Type"] == "application/schema+json"
    for schema in (alone.json(), {**document, "$ref": "#/components/schemas/Report"}):
        validator = Draft202012Validator(schema)
        assert list(validator.iter_errors(report_json())) == []
        assert list(validator.iter_errors({**report_json(), "results": 1}))


def test_page_needs_no_key_and_no_inline_script(
    anonymous: TestClient,
) -> None:
    """Nor does it load anything from another server."""
    page = anonymous.get("/docs")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy.split("style-src")[0]
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        asset = anonymous.get(address)
        assert (asset.status_code, len(asset.content) > 50) == (200, True)
    assert re.findall(r"<script(?! src)", page.text) == []
    assert "http" not in page.text.replace("http-equiv", "")


@pytest.mark.parametrize("name", ["none", "..%2fdocs.py", "__init__.py"])
def test_page_serves_no_other_files(anonymous: TestClient, name: str) -> None:
    assert anonymous.get(f"/docs/assets/{name}").status_code == 404
