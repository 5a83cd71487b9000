"""What a service offers and stores, what changes in it, and its workers."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal
from urllib.parse import quote

from distill_client.client.base import Requests
from distill_client.responses import (
    Architecture,
    Example,
    Installation,
    Method,
    Page,
    ProjectEvent,
    Storage,
    Worker,
    parse_response,
)
from distill_client.streams import project_events
from distill_client.streams.project_events import Reset


class ServiceRequests(Requests):
    """Requests about the service itself."""

    def architectures(self) -> list[Architecture]:
        """Return every network architecture."""
        return parse_response(Page[Architecture], self.transport.get("architectures")).data

    def methods(self) -> list[Method]:
        """Return every training method."""
        return parse_response(Page[Method], self.transport.get("methods")).data

    def examples(self) -> list[Example]:
        """Return example jobs, and the sweeps of the paper's tables and figures."""
        return parse_response(Page[Example], self.transport.get("examples")).data

    def schema(self, name: Literal["job", "sweep", "report"]) -> dict[str, Any]:
        """Return the JSON Schema of a job's or a sweep's spec, or of a report."""
        schema: dict[str, Any] = self.transport.get(f"schemas/{name}").json()
        return schema

    def installation(self) -> Installation:
        """Return the service's version, and what it allows."""
        return parse_response(Installation, self.transport.get("service"))

    def storage(self) -> Storage:
        """Return how much the project stores, by kind, and the space that is left."""
        return parse_response(Storage, self.transport.get("storage"))

    def project_events(
        self, *, after: int | None = None, types: Sequence[str] = (), follow: bool = True
    ) -> Iterator[ProjectEvent | Reset]:
        """Iterate over what changes in the project: jobs, sweeps, models, data sets and workers.

        Without ``after``, the number of a change, it begins with what happens from now on; with
        ``follow=False`` it lists what the service still has, which is about a day, and ends. Yields
        Reset where changes may have been missed.
        """
        return project_events.stream_project_events(
            self.transport, after=after, types=types, follow=follow
        )

    def workers(self) -> Iterator[Worker]:
        """Iterate over all workers."""
        return self._pages("workers", Page[Worker])

    def drain(self, worker: str) -> Worker:
        """Let a worker finish its jobs and claim no more, while it keeps running."""
        return parse_response(Worker, self.transport.post(f"{_worker_path(worker)}/drain"))

    def undrain(self, worker: str) -> Worker:
        """Let a worker claim jobs again."""
        return parse_response(Worker, self.transport.post(f"{_worker_path(worker)}/undrain"))


def _worker_path(name: str) -> str:
    return f"workers/{quote(name, safe='')}"
