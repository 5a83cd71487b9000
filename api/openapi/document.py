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
OPERATIONS_OF_SIGN_IN = {
    "sign_in",
    "list_sign_in_methods",
    "begin_oidc_sign_in",
    "end_oidc_sign_in",
}
"""They need no key or session, but can be refused like the others."""
REFERENCE = "#/components/schemas/{model}"


PAGE_FORMAT = {
    "name": "format",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "enum": ["json", "csv"]},
    "description": "Default: as the Accept header prefers, or JSON. As CSV, the page's items are "
    "rows, and the header Link has the address of the next page.",
}
"""A parameter of every list."""
BOUNDS = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
"""By pydantic's name of a bound, the JSON Schema's. Where a field has a validator of its own, such
as that of ``api.dependencies.QueryInt``, pydantic leaves its names in the schema."""


def install(app: FastAPI) -> None:
    """Replace the application's OpenAPI document; it is made when it is first requested."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete_document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        servers=[{"url": app.state.settings.root_path or "/"}],
    )
    components = document.setdefault("components", {})
    models = components.setdefault("schemas", {})
    # FastAPI's own error schemas: this service answers with problem documents instead.
    for name in ("HTTPValidationError", "ValidationError"):
        models.pop(name, None)
    problem_schema = schemas.Problem.model_json_schema(ref_template=REFERENCE, mode="serialization")
    models |= problem_schema.pop("$defs", {}) | {"Problem": problem_schema}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key"},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-distill-session",
            "description": "The session of a browser, begun by POST /v1/session. The name of the "
            "cookie has another beginning where there is no TLS.",
        },
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete_operation(path, operation)
    _rename_bounds(document)
    return document


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    statuses = [400, 431, 500, 503]
    if path not in PATHS_WITHOUT_KEY:
        if operation["operationId"] not in OPERATIONS_OF_SIGN_IN:
            operation["security"] = [{"key": []}, {"session": []}]
        statuses += [401, 403, 422, 429]
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        statuses += [408, 413, 415]
    parameters = operation.setdefault("parameters", [])
    has_format = any(parameter["name"] == "format" for parameter in parameters)
    if _is_page(responses.get("200", {})) and not has_format:
        responses["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
        parameters.append(PAGE_FORMAT)
    for status in statuses:
        responses.setdefault(str(status), problem(status))
    for status, response in responses.items():
        if int(status) < 400:
            response.setdefault("headers", {})["X-Request-Id"] = {"schema": {"type": "string"}}
    operation["responses"] = dict(sorted(responses.items()))


def _rename_bounds(node: Any) -> None:
    """Rename the bounds of every schema in a part of the document."""
    if isinstance(node, list):
        for item in node:
            _rename_bounds(item)
    if isinstance(node, dict):
        for former, name in BOUNDS.items():
            if isinstance(node.get(former), int | float):
                node[name] = node.pop(former)
        for value in node.values():
            _rename_bounds(value)


def _is_page(response: dict[str, Any]) -> bool:
    """Return whether a response is a page of a list."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return "/Page_" in schema.get("$ref", "")
