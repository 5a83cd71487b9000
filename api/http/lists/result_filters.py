"""Filters by result in a query string: ``result[autoattack@linf:8/255]>=0.5``."""

from fastapi import Request

from core.errors import FieldError, Invalid
from core.reportspec.result_columns import ResultBound, parse_bounds, parse_column

PREFIX = "result["
MAX_BOUNDS = 16


def result_filters(request: Request) -> tuple[ResultBound, ...]:
    """Parse every ``result[key]`` of the query string. Raises Invalid.

    The first = of a parameter ends its name: of ``result[key]>=0.5`` the name ends with >.
    """
    bounds: list[ResultBound] = []
    for name, value in request.query_params.multi_items():
        if not name.startswith(PREFIX):
            continue
        key, bracket, comparison = name[len(PREFIX) :].partition("]")
        equals_sign = "=" if comparison in (">", "<") else ""
        try:
            if not bracket:
                raise ValueError("Write result[key]>=0.5, with both brackets.")
            bounds += parse_bounds(parse_column(key), f"{comparison}{equals_sign}{value}")
        except ValueError as error:
            raise Invalid(
                f"A filter by result is malformed. {error}", [FieldError((name[:100],), str(error))]
            ) from error
    if len(bounds) > MAX_BOUNDS:
        message = f"At most {MAX_BOUNDS} bounds on results are possible."
        raise Invalid.field("result", message=message)
    return tuple(bounds)
