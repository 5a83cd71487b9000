"""Tables in the format that the caller prefers: JSON, CSV, Markdown or LaTeX."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel

from api.http.negotiation import preferred_media_type
from api.representation.json_response import json_response
from api.representation.tables.text import (
    MEDIA_TYPES,
    TableFormat,
    TextTable,
    to_latex,
    to_markdown,
)

Format = Annotated[
    TableFormat | None,
    Query(
        alias="format",
        description="json, csv, md (Markdown) or tex (LaTeX, with booktabs). Default: as the "
        "Accept header prefers, or JSON.",
    ),
]
FORMATS: dict[str, TableFormat] = {media_type: form for form, media_type in MEDIA_TYPES.items()}
TABLE_CONTENT: dict[str, Any] = {
    media_type: {"schema": {"type": "string"}}
    for form, media_type in MEDIA_TYPES.items()
    if form != "json"
}
"""Of the OpenAPI document, the bodies of a table besides JSON."""


def table_response(
    request: Request,
    form: TableFormat | None,
    body: BaseModel,
    to_csv: Callable[[], str],
    to_tables: Callable[[], list[TextTable]],
) -> Response:
    """Return the table as ``form`` says, or else as the Accept header prefers."""
    if form is None:
        media_type = preferred_media_type(request, list(MEDIA_TYPES.values()))
        form = FORMATS[media_type]
    headers = {"Vary": "Accept"}
    match form:
        case "json":
            return json_response(body, headers)
        case "csv":
            text = to_csv()
            name = request.url.path.rsplit("/", 1)[-1]
            headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        case "md":
            text = to_markdown(to_tables())
        case "tex":
            text = to_latex(to_tables())
    return Response(text, headers=headers, media_type=MEDIA_TYPES[form])
