"""What all requests have in common: the transport, pages of lists, and bodies."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from distill_client.responses import ItemT, Page, parse_response
from distill_client.transport import Params, Transport

PAGE_SIZE = 100

Spec = Mapping[str, Any] | BaseModel
"""A request body: a mapping as in the YAML files, or a pydantic model that serializes to one."""


class Requests:
    """Base class of the requests by noun, which make up ``Distill``."""

    transport: Transport

    def _pages(
        self, path: str, model: type[Page[ItemT]], params: Params | None = None
    ) -> Iterator[ItemT]:
        """Yield the items of every page, fetching each page when it is needed."""
        query = {**(params or {}), "limit": PAGE_SIZE}
        while True:
            page = parse_response(model, self.transport.get(path, query))
            yield from page.data
            if page.next_cursor is None:
                return
            query["after"] = page.next_cursor


def request_body(spec: Spec) -> dict[str, Any]:
    return spec.model_dump(mode="json") if isinstance(spec, BaseModel) else dict(spec)


def job_path(job_id: str) -> str:
    return f"jobs/{quote(job_id, safe='')}"


def result_params(results: Mapping[str, str] | None) -> dict[str, str | list[str]]:
    return {f"result[{key}]": bounds for key, bounds in (results or {}).items()}
