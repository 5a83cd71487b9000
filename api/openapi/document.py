"""openapi.json: FastAPI's document, completed with the responses that every endpoint has."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.openapi.responses import problem
from api.representation import schemas

DESCRIPTION = """Adversarially robust knowledge distillation: submit a job, follow it, and download
a small robust student with its robustness report. Errors are problem documents (RFC 9457), lists
are paged by cursor, and every POST takes an Idempotency-Key."""
PATHS_WITHOUT_KEY = {"/healthz", "/readyz"}
REFERENCE = "#/components/schemas/{model}"


def install(app: FastAPI) -> None:
    """Replace the application's OpenAPI document; it is made when it is first requested."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete_document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    components = document.setdefault("components", {})
    models = components.setdefault("schemas", {})
    # FastAPI's own error schemas: this service answers with problem documents instead.
    for name in ("HTTPValidationError", "ValidationError"):
        models.pop(name, None)
    problem_schema = schemas.Problem.model_json_schema(ref_template=REFERENCE, mode="serialization")
    models |= problem_schema.pop("$defs", {}) | {"Problem": problem_schema}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key"}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete_operation(path, operation)
    return document


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    statuses = [400, 431, 500, 503]
    if path not in PATHS_WITHOUT_KEY:
        operation["security"] = [{"key": []}]
        statuses += [401, 403, 422, 429]
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        statuses += [408, 413, 415]
    for status in statuses:
        responses.setdefault(str(status), problem(status))
    for status, response in responses.items():
        if int(status) < 400:
            response.setdefault("headers", {})["X-Request-Id"] = {"schema": {"type": "string"}}
    operation["responses"] = dict(sorted(responses.items()))
