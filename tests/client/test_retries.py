"""Which requests are retried, how often, and after which pause."""

import time
from collections.abc import Callable
from email.utils import formatdate

import pytest

from distill_client import Distill, DistillProblem, UnexpectedResponse, Unreachable
from tests.client.fake_server import (
    NO_RESPONSE,
    FakeResponse,
    FakeServer,
    job,
    json_response,
    make_client,
    problem_response,
)

BUSY = problem_response(503, "unavailable", "The database does not answer; try again in a moment.")


def test_every_retry_of_a_post_has_the_same_key(server: FakeServer, service: Distill) -> None:
    bad_gateway = FakeResponse(502, b"<html>")
    created = json_response(job("queued"), 201)
    server.respond("POST /v1/jobs", NO_RESPONSE, BUSY, bad_gateway, created)
    assert service.submit({"kind": "distillation"}).id == "job_1"
    keys = [request.headers["idempotency-key"] for request in server.requests_to("POST /v1/jobs")]
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_two_submissions_have_two_keys(server: FakeServer, service: Distill) -> None:
    server.respond("POST /v1/jobs", json_response(job("queued"), 201))
    service.submit({})
    service.submit({})
    first, second = server.requests_to("POST /v1/jobs")
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


def test_retry_waits_for_the_first_request(server: FakeServer, service: Distill) -> None:
    """The first request arrived, and only its response was lost."""
    in_progress = problem_response(
        409,
        "idempotency_in_progress",
        "The first request with this Idempotency-Key is still being carried out.",
    )
    server.respond("POST /v1/jobs", NO_RESPONSE, in_progress, json_response(job("queued"), 201))
    assert service.submit({}).id == "job_1"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_request_to_a_busy_service_is_retried(
    server: FakeServer, service: Distill, status: int
) -> None:
    server.respond("GET /v1/jobs/job_1", FakeResponse(status), json_response(job()))
    assert service.job("job_1").status == "running"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_refused_request_is_not_retried(server: FakeServer, service: Distill, status: int) -> None:
    server.respond("GET /v1/jobs/job_1", problem_response(status, "some_code", "No."))
    with pytest.raises(DistillProblem) as raised:
        service.job("job_1")
    problem = raised.value
    assert (problem.status, problem.code, problem.detail) == (status, "some_code", "No.")
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["1", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_retry_after_is_honored(
    server: FakeServer, service: Distill, value: str | Callable[[], str]
) -> None:
    header = value() if callable(value) else value
    server.respond(
        "GET /v1/jobs/job_1",
        problem_response(429, "slow_down", "Slow down.", **{"Retry-After": header}),
        json_response(job()),
    )
    start = time.monotonic()
    service.job("job_1")
    assert time.monotonic() - start >= 0.9


def test_pause_of_hours_is_not_waited_for(server: FakeServer, service: Distill) -> None:
    headers = {"Retry-After": "7200"}
    maintenance = problem_response(503, "unavailable", "Maintenance.", **headers)
    server.respond("GET /v1/jobs/job_1", maintenance)
    with pytest.raises(DistillProblem, match="Maintenance"):
        service.job("job_1")
    assert len(server.requests) == 1


def test_retries_end(server: FakeServer) -> None:
    server.respond("GET /v1/jobs/job_1", BUSY)
    with (
        make_client(server, retries=2) as service,
        pytest.raises(DistillProblem, match="does not answer"),
    ):
        service.job("job_1")
    assert len(server.requests) == 3


def test_unreachable_service_is_named() -> None:
    with (
        Distill("http://127.0.0.1:9", "dk", retries=1, backoff_seconds=0.01) as service,
        pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 cannot be reached"),
    ):
        service.job("job_1")


def test_address_of_another_server_is_noticed(server: FakeServer, service: Distill) -> None:
    server.respond("GET /v1/jobs/job_1", FakeResponse(200, b"<html>Welcome</html>"))
    with pytest.raises(UnexpectedResponse, match="DISTILL_URL"):
        service.job("job_1")


def test_redirect_of_an_api_call_is_not_followed(server: FakeServer, service: Distill) -> None:
    server.respond("GET /v1/jobs/job_1", FakeResponse(308, b"", {"Location": "/elsewhere"}))
    with pytest.raises(UnexpectedResponse):
        service.job("job_1")
    assert len(server.requests) == 1


def test_id_cannot_reach_another_endpoint(server: FakeServer, service: Distill) -> None:
    with pytest.raises(DistillProblem):
        service.job("../keys?x=1")
    assert all(request.path.startswith("/v1/jobs/") for request in server.requests)
