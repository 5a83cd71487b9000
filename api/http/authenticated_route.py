"""The route class of every endpoint that needs an API key.

It checks, in this order, the key, the rate limit, the query parameters and the body, before the
endpoint runs. A caller without a key learns nothing, and its body is not read.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from api.http import audit_entries
from api.http.authentication import authenticate, bearer_token
from api.http.json_body import MAX_VALUES, read_json
from core.errors import FieldError, Invalid

MAX_PARAMETERS = 100


class AuthenticatedRoute(APIRoute):
    """``openapi_extra`` of an operation configures two checks.

    Its ``parameters`` of style deepObject (``metadata[key]=value``) are allowed beside those of the
    endpoint's signature; ``x-most-values`` replaces the default bound on the values in a body.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = super().get_route_handler()
        extra = self.openapi_extra or {}
        known = {field.alias for field in self.dependant.query_params}
        prefixes = tuple(
            f"{parameter['name']}["
            for parameter in extra.get("parameters", [])
            if parameter.get("style") == "deepObject"
        )
        reads_json = self.body_field is not None
        max_values = extra.get("x-most-values", MAX_VALUES)

        async def handle(request: Request) -> Response:
            await _admit(request)
            _refuse_unknown_parameters(request, known, prefixes)
            return await endpoint(await read_json(request, max_values) if reads_json else request)

        return handle


async def _admit(request: Request) -> None:
    """Authenticate the caller and count the request. Raises Unauthenticated and RateLimited."""
    limits = request.app.state.limits
    secret = bearer_token(request)
    with limits.checking_key(request, audit_entries.client_address(request)):
        principal = await run_in_threadpool(authenticate, request.app.state.engine, secret)
    request.state.principal = principal
    limits.charge(request, principal.key_id)


def _refuse_unknown_parameters(
    request: Request, known: set[str], prefixes: tuple[str, ...]
) -> None:
    """Raises Invalid: a misspelled parameter that is ignored is found out too late."""
    if len(request.query_params.multi_items()) > MAX_PARAMETERS:
        raise Invalid(
            f"A request has at most {MAX_PARAMETERS} query parameters.", code="too_many_parameters"
        )
    unknown = [
        name for name in request.query_params if name not in known and not name.startswith(prefixes)
    ]
    if unknown:
        choice = f"known are {', '.join(sorted(known))}" if known else "this endpoint has none"
        errors = [
            FieldError((name[:100],), f"There is no such query parameter here; {choice}.")
            for name in unknown[:20]
        ]
        raise Invalid(
            f"Unknown query parameter {unknown[0][:100]!r}; {choice}.",
            errors,
            code="unknown_parameter",
        )
