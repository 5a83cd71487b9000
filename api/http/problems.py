"""Every error response is made here, as application/problem+json (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.http.validation import invalid_request
from api.representation import schemas
from core.errors import (
    DistillError,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from core.logs import redact

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_STATUS_OF_CODE = {"storage_full": 507}
_CODES = {400: "malformed_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
log = structlog.get_logger()


class UnsupportedMediaType(DistillError):
    """The body has a media type that the endpoint does not read."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class RequestTimeout(DistillError):
    """The request's head or body did not arrive in time."""

    status = 408
    code = "request_timeout"
    title = "Request timeout"


class PreconditionFailed(DistillError):
    """If-Match names a state that is no longer the current one."""

    status = 412
    code = "precondition_failed"
    title = "Changed in the meantime"


class WrongOrigin(DistillError):
    """The Host header is not one of the service's names, or the Origin header is not allowed."""

    status = 403
    code = "wrong_origin"
    title = "Host or origin not allowed"


class HeadTooLarge(DistillError):
    """The request line and headers together exceed the bounds of ``api.http.protocol``."""

    status = 431
    code = "head_too_large"
    title = "Request header fields too large"


class RateLimited(DistillError):
    """The caller must wait ``retry_seconds``, at least 1, before the next request."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = max(1, retry_seconds)


def install(app: FastAPI) -> None:
    """Register the handlers that turn exceptions into problem documents."""
    app.add_exception_handler(DistillError, _on_distill_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def problem_response(
    request: Request, error: DistillError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Make the problem document of an error; ``headers`` are added to those its type requires.

    The message of an internal error goes to the log only: it may hold paths or addresses.
    """
    detail = error.message
    if error.status >= 500 and not isinstance(error, Unavailable):
        log.error("request failed", code=error.code, error=str(error), path=request.scope["path"])
        detail = "The service failed; its log says why."
    return _problem_json(
        request,
        _STATUS_OF_CODE.get(error.code, error.status),
        error.code,
        error.title,
        detail,
        errors=error.errors if isinstance(error, Invalid) else [],
        headers={**_headers(error), **(headers or {})},
    )


def internal_error_response(request: Request) -> JSONResponse:
    """Make the response to an unexpected exception; it reveals neither reason nor traceback."""
    return problem_response(request, DistillError("unexpected"))


def _headers(error: DistillError) -> dict[str, str]:
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="distill"'}
        case Forbidden():
            return {"WWW-Authenticate": 'Bearer realm="distill", error="insufficient_scope"'}
        case Unavailable():
            return {"Retry-After": str(RETRY_SECONDS)}
        case RateLimited():
            return {"Retry-After": str(error.retry_seconds)}
        case _:
            return {}


def _problem_json(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    fields = [
        schemas.FieldProblem(path=list(error.path), message=error.message) for error in errors
    ]
    problem = schemas.Problem(
        type=f"urn:distill:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        instance=(request.app.state.settings.root_path + request.scope["path"])[:500],
        code=code,
        param=".".join(map(str, fields[0].path)) if fields else None,
        request_id=getattr(request.state, "request_id", ""),
        errors=fields,
    )
    request.state.problem = code
    return _AsciiJsonResponse(problem.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


class _AsciiJsonResponse(JSONResponse):
    """JSON with every other character escaped, and without secrets.

    A problem may quote what the caller sent, such as half a surrogate pair, which UTF-8 cannot
    encode.
    """

    def render(self, content: Any) -> bytes:
        return redact(json.dumps(content, ensure_ascii=True, separators=(",", ":"))).encode()


async def _on_distill_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DistillError)
    return problem_response(request, error)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, invalid_request(error.errors(), error.body))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework itself rejects: an unknown path or method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem_response(request, NotFound("There is nothing at this address."))
    detail = str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = _allowed_methods(request)
        headers["Allow"] = ", ".join(allowed)
        detail = (
            f"{request.method[:20]} is not allowed at this address; use {' or '.join(allowed)}."
        )
    phrase = HTTPStatus(error.status_code).phrase
    code = _CODES.get(error.status_code, phrase.lower().replace(" ", "_"))
    return _problem_json(request, error.status_code, code, phrase, detail, headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    """List the methods of all routes at this path; the framework names those of the first only."""
    routes = request.app.routes
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    return [
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] == Match.FULL for route in routes)
    ]
