"""Attempts and the pages and text files of their logs."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.errors import JobFailed
from core.settings import Settings
from core.store import attempts
from core.store.attempts import Attempt
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.objects import log_archive
from core.store.objects.store import Objects
from tests.api.conftest import STRANGERS_KEY, bearer, make_key
from tests.builders import create_attempt, create_job
from tests.worker.logs.builders import create_log

IO_ERROR = JobFailed("io_error", "infrastructure", "The disk cannot be read.")
NO_BACKOFF = RetryPolicy(backoff_seconds=0.0)


def fail(attempt: Attempt, error: JobFailed = IO_ERROR) -> None:
    with attempt.fenced_session() as (session, job):
        apply_retry_policy(session, job, error, NO_BACKOFF)


def write_log(attempt: Attempt, count: int, *, end: bool = False) -> None:
    """Write ``count`` lines, and end the attempt if so said."""
    log = create_log(attempt.engine, attempt)
    log.write("stdout", b"".join(b"line %d\n" % number for number in range(1, count + 1)))
    log.publish()
    if end:
        with attempt.fenced_session() as (session, job):
            attempts.succeed(session, job)
            log.complete(session, "attempt ended")


def get(client: TestClient, path: str, **params: Any) -> Any:
    response = client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


def seqs(page: Any) -> list[int]:
    return [line["seq"] for line in page["data"]]


def test_attempts_say_who_when_and_how_it_ended(client: TestClient, engine: Engine) -> None:
    job = create_job(engine)
    first = create_attempt(engine, job, worker="worker-1")
    write_log(first, 3)
    fail(first)
    second = create_attempt(engine, job, worker="worker-2")
    page = get(client, f"/v1/jobs/{job.id}/attempts")
    failed, running = page["data"]
    assert (failed["number"], failed["worker"], failed["outcome"]) == (1, "worker-1", "failed")
    assert failed["started_at"] <= failed["ended_at"]
    assert failed["log"] == {"lines": 3, "bytes": 21}
    assert failed["failure"] == {
        "code": "io_error",
        "class": "infrastructure",
        "message": "The disk cannot be read.",
        "retryable": True,
        "attempt": 1,
        "advice": "Retry the job; if it fails on the same worker again, ask the operator to look "
        "at that worker's disk.",
    }
    assert (running["number"], running["worker"], running["log"]) == (2, "worker-2", None)
    assert (running["outcome"], running["ended_at"], running["failure"]) == (None, None, None)
    with second.fenced_session() as (session, row):
        attempts.succeed(session, row)
    page = get(client, f"/v1/jobs/{job.id}/attempts", after=1)
    assert [attempt["outcome"] for attempt in page["data"]] == ["succeeded"]
    page = get(client, f"/v1/jobs/{job.id}/attempts", limit=1)
    assert (page["has_more"], page["next_cursor"]) == (True, "1")


def test_failure_of_a_job_has_advice(client: TestClient, engine: Engine) -> None:
    attempt = create_attempt(engine)
    fail(attempt, JobFailed("non_finite_loss", "user", "The loss is not a number."))
    failure = get(client, f"/v1/jobs/{attempt.job_id}")["failure"]
    assert failure["advice"].startswith("Lower schedule.learning_rate")
    (summary,) = get(client, "/v1/jobs")["data"]
    assert summary["failure"] == failure


@pytest.mark.parametrize("archived", [False, True])
def test_lines_are_listed_in_pages(
    client: TestClient, engine: Engine, settings: Settings, archived: bool
) -> None:
    """The same ones while they are rows and once they are an object."""
    attempt = create_attempt(engine)
    write_log(attempt, 9, end=True)
    if archived:
        assert log_archive.archive_ended(engine, Objects.from_settings(settings)) == 1
    path = f"/v1/jobs/{attempt.job_id}/logs"
    page = get(client, path, limit=4)
    assert seqs(page) == [1, 2, 3, 4]
    assert (page["has_more"], page["next_cursor"]) == (True, "4")
    line = page["data"][0]
    assert (line["stream"], line["text"], line["attempt"]) == ("stdout", "line 1", 1)
    assert line["at"].endswith("Z")
    rest = get(client, path, after=page["next_cursor"])
    assert (seqs(rest), rest["next_cursor"]) == ([5, 6, 7, 8, 9, 10], None)
    assert rest["data"][-1]["stream"] == "supervisor"
    assert rest["data"][-1]["text"] == "attempt ended"
    assert seqs(get(client, path, tail=2)) == [9, 10]
    assert seqs(get(client, path, tail=100)) == list(range(1, 11))
    assert seqs(get(client, path, tail=5, after=8)) == [9, 10]
    assert seqs(get(client, path, tail=0)) == []
    assert seqs(get(client, path, after=10)) == []


def test_each_attempt_has_its_own_log(client: TestClient, engine: Engine) -> None:
    job = create_job(engine)
    assert get(client, f"/v1/jobs/{job.id}/logs")["data"] == []
    first = create_attempt(engine, job)
    write_log(first, 2)
    fail(first)
    write_log(create_attempt(engine, job), 5)
    path = f"/v1/jobs/{job.id}/logs"
    assert seqs(get(client, path)) == [1, 2, 3, 4, 5], "the newest"
    assert seqs(get(client, path, attempt=1)) == [1, 2]
    missing = client.get(path, params={"attempt": 3})
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        f"Job {job.id} has no attempt 3.",
    )


@pytest.mark.parametrize("query", [{"format": "text"}, {}])
def test_whole_log_is_a_text_file(
    client: TestClient, engine: Engine, query: dict[str, str]
) -> None:
    attempt = create_attempt(engine)
    write_log(attempt, 3000)
    headers = {} if query else {"Accept": "text/plain"}
    response = client.get(f"/v1/jobs/{attempt.job_id}/logs", params=query, headers=headers)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Content-Disposition"] == (
        f'attachment; filename="{attempt.job_id}-attempt-1.log"'
    )
    lines = response.text.splitlines()
    assert len(lines) == 3000
    assert lines[0].split()[1:] == ["stdout", "line", "1"]


def test_job_that_never_ran_has_no_text_file(client: TestClient, engine: Engine) -> None:
    response = client.get(f"/v1/jobs/{create_job(engine).id}/logs?format=text")
    assert response.status_code == 404
    assert response.json()["detail"].endswith("has no log yet: no worker has begun it.")


def test_browser_that_opens_the_address_gets_json(client: TestClient, engine: Engine) -> None:
    accept = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    response = client.get(f"/v1/jobs/{create_job(engine).id}/logs", headers=accept)
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=1001", "attempt=0", "tail=-1", "format=pdf"]
)
def test_invalid_pages_of_a_log_are_refused(client: TestClient, engine: Engine, query: str) -> None:
    assert client.get(f"/v1/jobs/{create_job(engine).id}/logs?{query}").status_code == 422


def test_logs_are_those_of_the_keys_project(
    client: TestClient, anonymous: TestClient, engine: Engine
) -> None:
    attempt = create_attempt(engine)
    write_log(attempt, 3)
    for noun in ("attempts", "logs", "logs?format=text", "logs?attempt=1"):
        path = f"/v1/jobs/{attempt.job_id}/{noun}"
        assert anonymous.get(path).status_code == 401
        assert client.get(path, headers=make_key(engine, "submit")).status_code == 403
        assert client.get(path, headers=bearer(STRANGERS_KEY)).status_code == 404
        assert client.get(f"/v1/jobs/job_none/{noun}").status_code == 404
