"""What all responses have in common, and how one is read."""

from typing import Generic, TypeVar

from httpx2 import Response
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from distill_client.errors import UnexpectedResponse

ItemT = TypeVar("ItemT")
ModelT = TypeVar("ModelT", bound=BaseModel)


class ResponseModel(BaseModel):
    """Base class of every response."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Editable(ResponseModel):
    """What can be edited: a job, a model or a data set."""

    metadata: dict[str, str] = {}
    notes: str | None = None
    """Markdown. Lists of jobs leave it out."""
    _etag: str | None = PrivateAttr(default=None)

    @property
    def etag(self) -> str | None:
        """For ``if_match`` of an edit; None for an item of a list."""
        return self._etag

    def set_etag(self, etag: str | None) -> None:
        self._etag = etag


class Page(ResponseModel, Generic[ItemT]):
    """One page of a list."""

    data: list[ItemT]
    next_cursor: str | None = None
    """The next page's ``after``; None on the last page."""


def parse_response(model: type[ModelT], response: Response) -> ModelT:
    """Return the response's body as a ``model``. Raises UnexpectedResponse if it is not one."""
    try:
        parsed = model.model_validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedResponse(
            f"The response of {response.url} is not one of a distill service; "
            "is DISTILL_URL correct?"
        ) from error
    if isinstance(parsed, Editable):
        parsed.set_etag(response.headers.get("ETag"))
    return parsed
