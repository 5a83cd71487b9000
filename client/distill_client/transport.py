"""One request and its retries.

Every retry of a POST or PATCH carries the same Idempotency-Key, so that it takes effect once.
"""

import random
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from distill_client.credentials import is_local
from distill_client.errors import DistillProblem, FieldProblem, UnexpectedResponse, Unreachable

BUSY_STATUSES = frozenset({429, 502, 503, 504})
IN_PROGRESS_CODES = frozenset({"idempotency_in_progress", "upload_in_progress"})
"""Codes of a 409 that a retry receives while the service still handles the first request."""
MAX_PAUSE_SECONDS = 120.0
"""If the service asks for a longer pause, the request fails at once."""

Params = Mapping[str, str | int | bool | list[str]]


class Backoff:
    """Pauses between retries: each twice as long as the one before, with jitter."""

    def __init__(self, retries: int, seconds: float) -> None:
        self.retries = retries
        self.seconds = seconds
        self.attempts = 0

    def wait(self, at_least: float = 0.0) -> bool:
        """Sleep until the next retry; return False at once if there are no retries left."""
        if self.attempts >= self.retries or at_least > MAX_PAUSE_SECONDS:
            return False
        pause = self.seconds * 2**self.attempts * random.uniform(0.5, 1.0)  # noqa: S311
        time.sleep(max(at_least, min(pause, MAX_PAUSE_SECONDS)))
        self.attempts += 1
        return True

    def reset(self) -> None:
        """Allow the full number of retries again."""
        self.attempts = 0


class Transport:
    """The HTTP connection to one service."""

    def __init__(
        self, url: str, api_key: str | None, *, timeout: float, retries: int, backoff_seconds: float
    ) -> None:
        self.url = url
        self.retries = retries
        self.backoff_seconds = backoff_seconds
        self.timeout = timeout
        # A proxy from the environment cannot reach this machine, and would see the key.
        self.trust_environment = not is_local(url)
        self.http = httpx2.Client(
            base_url=f"{url}/v1/",
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
            trust_env=self.trust_environment,
        )

    def backoff(self) -> Backoff:
        """Return the pauses of one new request."""
        return Backoff(self.retries, self.backoff_seconds)

    def get(
        self, path: str, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        return self.send("GET", path, params=params, headers=headers)

    def post(self, path: str, body: Any = None, params: Params | None = None) -> httpx2.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self.send("POST", path, params=params, headers=headers, body=body)

    def patch(self, path: str, body: Any, if_match: str | None = None) -> httpx2.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if if_match is not None:
            headers["If-Match"] = if_match
        return self.send("PATCH", path, headers=headers, body=body)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> httpx2.Response:
        """Send a request, with retries.

        Raises DistillProblem, Unreachable or UnexpectedResponse.
        """
        backoff = self.backoff()
        while True:
            try:
                response = self.http.request(
                    method, path, params=params, headers=headers, json=body
                )
            except httpx2.TransportError as error:
                if not is_transient(error) or not backoff.wait():
                    raise self.unreachable(error) from error
                continue
            if not is_busy(response) or not backoff.wait(retry_after(response)):
                return require_success(response)

    def unreachable(self, error: Exception) -> Unreachable:
        """Return the exception for a service that did not respond."""
        reason = str(error).rstrip(".") or type(error).__name__
        return Unreachable(f"The service at {self.url} cannot be reached: {reason}.")


def is_transient(error: httpx2.TransportError) -> bool:
    """Return whether a retry may succeed: the network failed, not the request itself."""
    return not isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError)


def is_busy(response: httpx2.Response) -> bool:
    """Return whether the same request may succeed a moment later."""
    if response.status_code == 409:
        return parse_problem(response).code in IN_PROGRESS_CODES
    return response.status_code in BUSY_STATUSES


def retry_after(response: httpx2.Response) -> float:
    """Return the seconds of the Retry-After header, a number or a date; 0 if it has none."""
    value = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    date = date.replace(tzinfo=date.tzinfo or UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def require_success(response: httpx2.Response) -> httpx2.Response:
    """Return a response below 300. Raises DistillProblem or UnexpectedResponse for any other."""
    if response.status_code >= 400:
        raise parse_problem(response)
    if response.status_code >= 300:
        raise UnexpectedResponse(
            f"{response.url} responded with a redirect ({response.status_code}); "
            "is DISTILL_URL correct?"
        )
    return response


def parse_problem(response: httpx2.Response) -> DistillProblem:
    """Return the error of a response.

    A page that is not a problem document, such as a proxy's, is described instead of repeated.
    """
    response.read()
    try:
        document = response.json()
        errors = [
            FieldProblem(tuple(error["path"]), str(error["message"]))
            for error in document.get("errors", [])
        ]
        return DistillProblem(
            response.status_code,
            document["code"],
            document["detail"],
            errors,
            request_id=document.get("request_id"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        media_type = response.headers.get("Content-Type", "no content type")
        detail = (
            f"{response.url} responded with {response.status_code} {response.reason_phrase} "
            f"({media_type}) and no explanation."
        )
        return DistillProblem(response.status_code, "unexplained", detail)
