"""One request and its retries. A POST keeps its Idempotency-Key over all of them, so that it is carried out once."""

import random
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from client.credentials import is_local
from client.errors import DistillProblem, FieldProblem, UnexpectedAnswer, Unreachable

BUSY = frozenset({429, 502, 503, 504})
UNDER_WAY = frozenset({"idempotency_in_progress", "upload_in_progress"})
"""Codes of 409 that a retry meets when the first try arrived, and only the way back broke."""
LONGEST_PAUSE_SECONDS = 120.0
"""A service that asks for more patience than this is reported, not waited for."""

Params = Mapping[str, str | int | bool | list[str]]


class Backoff:
    """Pauses of twice the length each time, a little random, until there were enough of them in a row."""

    def __init__(self, retries: int, seconds: float) -> None:
        self.retries, self.seconds, self.tried = retries, seconds, 0

    def wait(self, at_least: float = 0.0) -> bool:
        """Wait for the next try; False at once if there is to be none."""
        if self.tried >= self.retries or at_least > LONGEST_PAUSE_SECONDS:
            return False
        pause = self.seconds * 2**self.tried * random.uniform(0.5, 1.0)  # noqa: S311
        time.sleep(max(at_least, min(pause, LONGEST_PAUSE_SECONDS)))
        self.tried += 1
        return True

    def reset(self) -> None:
        self.tried = 0


class Transport:
    def __init__(
        self, url: str, api_key: str | None, *, timeout: float, retries: int, backoff_seconds: float
    ) -> None:
        self.url, self.retries, self.backoff_seconds = url, retries, backoff_seconds
        self.has_key = api_key is not None
        self.timeout = timeout
        # A proxy from the environment is not for this machine, and would see the key.
        self.trust_environment = not is_local(url)
        self.http = httpx2.Client(
            base_url=f"{url}/v1/",
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
            trust_env=self.trust_environment,
        )

    def backoff(self) -> Backoff:
        return Backoff(self.retries, self.backoff_seconds)

    def get(
        self, path: str, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        return self.send("GET", path, params=params, headers=headers)

    def post(self, path: str, body: Any = None, params: Params | None = None) -> httpx2.Response:
        return self.send(
            "POST", path, params=params, headers={"Idempotency-Key": str(uuid.uuid4())}, body=body
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> httpx2.Response:
        """Raises DistillProblem, Unreachable or UnexpectedAnswer."""
        backoff = self.backoff()
        while True:
            try:
                response = self.http.request(
                    method, path, params=params, headers=headers, json=body
                )
            except httpx2.TransportError as error:
                if not is_passing(error) or not backoff.wait():
                    raise self.unreachable(error) from error
                continue
            if not is_busy(response) or not backoff.wait(retry_after(response)):
                return checked(response)

    def unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"The service at {self.url} cannot be reached: {str(error).rstrip('.') or type(error).__name__}."
        )


def is_passing(error: httpx2.TransportError) -> bool:
    return not isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError)


def is_busy(response: httpx2.Response) -> bool:
    """Whether the same request may well succeed a moment later."""
    if response.status_code == 409:
        return problem_in(response).code in UNDER_WAY
    return response.status_code in BUSY


def retry_after(response: httpx2.Response) -> float:
    """Seconds, from a number or a date; 0 where it says nothing that can be read."""
    said = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def checked(response: httpx2.Response) -> httpx2.Response:
    """The answer if it is a good one. Raises DistillProblem or UnexpectedAnswer."""
    if response.status_code >= 400:
        raise problem_in(response)
    if response.status_code >= 300:
        raise UnexpectedAnswer(
            f"{response.url} answered {response.status_code} and leads elsewhere; is DISTILL_URL right?"
        )
    return response


def problem_in(response: httpx2.Response) -> DistillProblem:
    """What an error answer says. One that is no problem document is described, not repeated."""
    response.read()
    try:
        said = response.json()
        errors = [
            FieldProblem(tuple(error["path"]), str(error["message"]))
            for error in said.get("errors", [])
        ]
        return DistillProblem(
            response.status_code,
            said["code"],
            said["detail"],
            errors,
            request_id=said.get("request_id"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        kind = response.headers.get("Content-Type", "no content type")
        detail = f"{response.url} answered {response.status_code} {response.reason_phrase} ({kind}) and no explanation."
        return DistillProblem(response.status_code, "unexplained", detail)
