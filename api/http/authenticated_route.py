"""The route classes of endpoints: of those that need an API key or a session, and of the others.

The former check, in this order, the key, the rate limit, the query parameters and the body, before
the endpoint runs. A caller without a key learns nothing, and its body is not read.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.http.authentication import authenticate_request
from api.http.json_body import MAX_VALUES, read_json
from api.http.lists import csv_pages
from api.http.lists.csv_pages import as_csv, is_page, wants_csv
from core.errors import FieldError, Invalid

MAX_PARAMETERS = 100
DRY_RUN = "dry_run"
"""The parameter of endpoints that can check a request without carrying it out."""


class StrictRoute(APIRoute):
    """Refuses unknown query parameters, and what is not strict JSON in a body. Returns pages of
    lists as CSV, too.

    ``openapi_extra`` of an operation configures two checks.

    Its ``parameters`` of style deepObject (``metadata[key]=value``) are allowed beside those of the
    endpoint's signature; ``x-most-values`` replaces the default bound on the values in a body.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = super().get_route_handler()
        extra = self.openapi_extra or {}
        known = _query_parameters(self.dependant)
        prefixes = tuple(
            f"{parameter['name']}["
            for parameter in extra.get("parameters", [])
            if parameter.get("style") == "deepObject"
        )
        # A list with formats of its own, such as a log, answers for itself.
        returns_page = is_page(self.response_model) and csv_pages.PARAMETER not in known
        if returns_page:
            known.add(csv_pages.PARAMETER)
        reads_json = self.body_field is not None
        max_values = extra.get("x-most-values", MAX_VALUES)

        async def handle(request: Request) -> Response:
            is_dry_run = DRY_RUN in known and request.query_params.get(DRY_RUN) == "true"
            request.state.is_dry_run = is_dry_run  # for the audit log
            await self.admit(request)
            _refuse_unknown_parameters(request, known, prefixes)
            is_csv = returns_page and wants_csv(request)
            response = await endpoint(
                await read_json(request, max_values) if reads_json else request
            )
            return as_csv(request, response) if is_csv else response

        return handle

    async def admit(self, request: Request) -> None:
        """Check the caller, before anything of the request is looked at."""


class AuthenticatedRoute(StrictRoute):
    """Needs an API key or a session."""

    async def admit(self, request: Request) -> None:
        """Authenticate the caller and count the request.

        Raises Unauthenticated, WrongOrigin and RateLimited.
        """
        request.state.principal = await authenticate_request(request)
        request.app.state.limits.charge(request, request.state.principal.key_id)


def _query_parameters(dependant: Dependant) -> set[str]:
    """Return the names of an endpoint's query parameters, and of those that it depends on."""
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_query_parameters(inner) for inner in dependant.dependencies))


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
