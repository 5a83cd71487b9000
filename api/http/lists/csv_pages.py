"""Pages of lists as CSV: one mechanism for every list of the service.

Whatever returns a ``Page`` as JSON returns it as CSV, too, for ``format=csv`` or an ``Accept`` that
prefers ``text/csv``. The cursor of the next page is in the header ``Link``.
"""

import json
from typing import Any

from fastapi import Request, Response

from api.http.negotiation import preferred_media_type
from api.representation.schemas import Page
from api.representation.tables.pages import page_csv
from core.errors import Invalid

PARAMETER = "format"
JSON = "application/json"
CSV = "text/csv"


def is_page(model: Any) -> bool:
    """Return whether a response model is a page of a list."""
    return isinstance(model, type) and issubclass(model, Page)


def wants_csv(request: Request) -> bool:
    """Return whether the caller prefers CSV to JSON. Raises Invalid for another format."""
    form = request.query_params.get(PARAMETER)
    if form is not None:
        if form not in ("json", "csv"):
            raise Invalid.field(PARAMETER, message=f"A list is json or csv, not {form[:40]!r}.")
        return form == "csv"
    return preferred_media_type(request, [JSON, CSV]) == CSV


def as_csv(request: Request, response: Response) -> Response:
    """Return the same page as CSV. A response that is no page of JSON is returned as it is."""
    if response.status_code != 200 or response.headers.get("content-type") != JSON:
        return response
    page = json.loads(bytes(response.body))
    name = request.url.path.rsplit("/", 1)[-1]
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "Vary": "Accept",
    }
    if page["next_cursor"] is not None:
        next_url = request.url.include_query_params(after=page["next_cursor"])
        headers["Link"] = f'<?{next_url.query}>; rel="next"'
    return Response(page_csv(page["data"]), headers=headers, media_type=CSV)
