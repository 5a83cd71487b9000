"""openapi.json: FastAPI's, with the answers that every endpoint can give written out."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.openapi.responses import problem
from api.representation import schemas

DESCRIPTION = """Adversarially robust knowledge distillation: submit a job, watch it, download a small robust student
with its report. Errors are problem documents (RFC 9457); lists are read by cursor; every POST takes an Idempotency-Key."""
OPEN = {"/healthz", "/readyz"}
REFERENCE = "#/components/schemas/{model}"


def install(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    components = document.setdefault("components", {})
    models = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        models.pop(name, None)
    found = schemas.Problem.model_json_schema(ref_template=REFERENCE, mode="serialization")
    models |= found.pop("$defs", {}) | {"Problem": found}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key"}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _describe(path, operation)
    return document


def _describe(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    statuses = [400, 431, 500, 503]
    if path not in OPEN:
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
