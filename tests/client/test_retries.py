import time
from email.utils import formatdate

import pytest

from distill_client.client import Distill
from distill_client.errors import DistillProblem, UnexpectedAnswer, Unreachable
from tests.client.fake import NO_ANSWER, Answer, Fake, as_json, client_of, job, problem

BUSY = problem(503, "unavailable", "The database does not answer; try again in a moment.")


def test_a_post_keeps_its_idempotency_key_over_every_retry(fake: Fake, service: Distill) -> None:
    fake.on("POST /v1/jobs", NO_ANSWER, BUSY, Answer(502, b"<html>"), as_json(job("queued"), 201))
    assert service.submit({"kind": "distillation"}).id == "job_1"
    keys = [request.headers["idempotency-key"] for request in fake.asked("POST /v1/jobs")]
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_two_submissions_have_two_idempotency_keys(fake: Fake, service: Distill) -> None:
    fake.on("POST /v1/jobs", as_json(job("queued"), 201))
    service.submit({})
    service.submit({})
    first, second = fake.asked("POST /v1/jobs")
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


def test_a_retry_that_meets_its_own_first_try_waits_for_it(fake: Fake, service: Distill) -> None:
    still = problem(
        409,
        "idempotency_in_progress",
        "The first request with this Idempotency-Key is still being carried out.",
    )
    fake.on("POST /v1/jobs", NO_ANSWER, still, as_json(job("queued"), 201))
    assert service.submit({}).id == "job_1"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_is_asked_again(fake: Fake, service: Distill, status: int) -> None:
    fake.on("GET /v1/jobs/job_1", Answer(status), as_json(job()))
    assert service.job("job_1").status == "running"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_a_refusal_is_not_asked_again(fake: Fake, service: Distill, status: int) -> None:
    fake.on("GET /v1/jobs/job_1", problem(status, "some_code", "No."))
    with pytest.raises(DistillProblem) as refused:
        service.job("job_1")
    assert (refused.value.status, refused.value.code, refused.value.detail) == (
        status,
        "some_code",
        "No.",
    )
    assert len(fake.requests) == 1


@pytest.mark.parametrize("said", ["1", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_retry_after_is_honoured(fake: Fake, service: Distill, said: object) -> None:
    value = said() if callable(said) else said
    fake.on(
        "GET /v1/jobs/job_1",
        problem(429, "slow_down", "Slow down.", **{"Retry-After": str(value)}),
        as_json(job()),
    )
    begun = time.monotonic()
    service.job("job_1")
    assert time.monotonic() - begun >= 0.9


def test_a_service_that_asks_for_hours_is_reported_at_once(fake: Fake, service: Distill) -> None:
    fake.on(
        "GET /v1/jobs/job_1", problem(503, "unavailable", "Maintenance.", **{"Retry-After": "7200"})
    )
    with pytest.raises(DistillProblem, match="Maintenance"):
        service.job("job_1")
    assert len(fake.requests) == 1


def test_patience_ends(fake: Fake) -> None:
    fake.on("GET /v1/jobs/job_1", BUSY)
    with (
        client_of(fake, retries=2) as service,
        pytest.raises(DistillProblem, match="does not answer"),
    ):
        service.job("job_1")
    assert len(fake.requests) == 3


def test_nobody_there_is_unreachable_and_says_where() -> None:
    with (
        Distill("http://127.0.0.1:9", "dk", retries=1, backoff_seconds=0.01) as service,
        pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 cannot be reached"),
    ):
        service.job("job_1")


def test_an_address_of_something_else_is_told_apart(fake: Fake, service: Distill) -> None:
    fake.on("GET /v1/jobs/job_1", Answer(200, b"<html>Welcome</html>"))
    with pytest.raises(UnexpectedAnswer, match="DISTILL_URL"):
        service.job("job_1")


def test_a_redirect_of_an_api_call_is_not_followed(fake: Fake, service: Distill) -> None:
    fake.on("GET /v1/jobs/job_1", Answer(308, b"", {"Location": "/elsewhere"}))
    with pytest.raises(UnexpectedAnswer):
        service.job("job_1")
    assert len(fake.requests) == 1


def test_an_id_cannot_reach_another_endpoint(fake: Fake, service: Distill) -> None:
    with pytest.raises(DistillProblem):
        service.job("../keys?x=1")
    assert all(request.path.startswith("/v1/jobs/") for request in fake.requests)
