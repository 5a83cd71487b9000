"""JSON responses that FastAPI does not validate again: the body is a validated model already."""

from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel


def to_json(body: BaseModel) -> str:
    """Serialize under the public names of the fields."""
    return body.model_dump_json(by_alias=True)


def json_response(
    body: BaseModel, headers: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    return Response(to_json(body), status, headers, media_type="application/json")
