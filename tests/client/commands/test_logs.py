"""``distill logs`` and ``distill attempts``."""

import json
from typing import Any

from tests.client.commands.runner import distill
from tests.client.fake_server import FakeServer, job, json_response, page_response
from tests.client.streams.test_logs import LOGS, line, log_stream

ATTEMPTS = "GET /v1/jobs/job_1/attempts"
FAILURE = {
    "code": "io_error",
    "class": "infrastructure",
    "message": "The disk cannot be read.",
    "retryable": True,
    "attempt": 1,
    "advice": "Retry the job.",
}
ATTEMPT: dict[str, Any] = {
    "number": 1,
    "worker": "worker-1",
    "started_at": "2026-01-31T12:34:56.789Z",
    "ended_at": "2026-01-31T12:36:01.000Z",
    "outcome": "failed",
    "failure": FAILURE,
    "log": {"lines": 12, "bytes": 345},
}


def test_log_is_printed_with_times(server: FakeServer) -> None:
    lines = [
        line(1, stream="supervisor", text="attempt started"),
        line(2, text="epoch 1  step 4"),
        line(3, stream="stderr", text="\x1b[31ma warning"),
    ]
    server.respond(LOGS, log_stream(*lines))
    result = distill("logs", "job_1")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "12:34:56  [supervisor] attempt started",
        "12:34:56  epoch 1  step 4",
        "12:34:56  [stderr] \ufffd[31ma warning",
    ]


def test_log_of_an_attempt_is_followed(server: FakeServer) -> None:
    server.respond(LOGS, log_stream(line(7, 2)))
    assert distill("logs", "-f", "--attempt", 2, "--tail", 5, "job_1").exit_code == 0
    assert server.requests[0].query == {"follow": ["true"], "attempt": ["2"], "tail": ["5"]}


def test_attempts_are_listed_with_their_ends(server: FakeServer) -> None:
    running = {**ATTEMPT, "number": 2, "ended_at": None, "outcome": None}
    server.respond(ATTEMPTS, page_response(ATTEMPT, {**running, "failure": None, "log": None}))
    result = distill("attempts", "job_1")
    assert result.exit_code == 0
    head, first, second = (line.split() for line in result.stdout.splitlines())
    assert head[:2] == ["number", "worker"]
    assert first[:9] == ["1", "worker-1", "2026-01-31", "12:34", "1", "min", "4", "s", "failed"]
    assert "(io_error)" in first
    assert second == ["2", "worker-1", "2026-01-31", "12:34", "running"]
    as_json = json.loads(distill("attempts", "job_1", "--json").stdout)
    assert as_json[0]["failure"]["class"] == "infrastructure"


def test_failed_job_is_shown_with_advice(server: FakeServer) -> None:
    server.respond("GET /v1/jobs/job_1", json_response(job("failed", failure=FAILURE)))
    assert "Retry the job." in distill("show", "job_1").stdout
