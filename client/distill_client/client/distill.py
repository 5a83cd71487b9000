"""The service as an object, with one method for each request."""

from types import TracebackType
from typing import Self

from distill_client.client.access import AccessRequests
from distill_client.client.datasets import DatasetRequests
from distill_client.client.jobs import JobRequests
from distill_client.client.models import ModelRequests
from distill_client.client.results import ResultRequests
from distill_client.client.service import ServiceRequests
from distill_client.client.sweeps import SweepRequests
from distill_client.credentials import default_api_key, default_url, validate_url
from distill_client.transport import Transport


class Distill(
    JobRequests,
    SweepRequests,
    ResultRequests,
    ModelRequests,
    DatasetRequests,
    ServiceRequests,
    AccessRequests,
):
    """A client of one service.

    ``url`` and ``api_key`` default to DISTILL_URL and DISTILL_API_KEY, and those to the embedded
    service of this machine, whose folder is DISTILL_HOME or ./distill-data. ``timeout`` is in
    seconds, for one response. A request that fails for a passing reason is retried up to
    ``retries`` times, after pauses that begin at ``backoff_seconds`` and double, or that are as
    long as the service asks for.

    Every method raises DistillProblem if the service refuses the request, and Unreachable if it
    does not respond.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 4,
        backoff_seconds: float = 0.5,
    ) -> None:
        self.url = validate_url(url or default_url())
        key = api_key or default_api_key(self.url)
        self.transport = Transport(
            self.url, key, timeout=timeout, retries=retries, backoff_seconds=backoff_seconds
        )

    def close(self) -> None:
        """Close the connections."""
        self.transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
