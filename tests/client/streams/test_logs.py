"""The stream of a job's log."""

import json
from typing import Any

import pytest

from distill_client import Distill, DistillProblem, Unreachable
from tests.client.fake_server import (
    CREATED_AT,
    NO_RESPONSE,
    FakeResponse,
    FakeServer,
    make_client,
    problem_response,
)

LOGS = "GET /v1/jobs/job_1/logs"


def line(seq: int, attempt: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": CREATED_AT,
        "stream": "stdout",
        "text": f"line {seq}",
        "attempt": attempt,
        **changes,
    }


def log_stream(*lines: dict[str, Any], end: bool = True, cut: bool = False) -> FakeResponse:
    """A stream of lines that says that it is complete, unless told otherwise."""
    text = "retry: 1000\n\n: still here\n\n"
    for item in lines:
        text += f"id: {item['attempt']}:{item['seq']}\nevent: line\ndata: {json.dumps(item)}\n\n"
    if end:
        text += 'event: end\ndata: {"attempt": 1}\n\n'
    headers = {"Content-Type": "text/event-stream", "Content-Length": ""}
    return FakeResponse(200, text.encode(), headers, cut=cut)


def last_event_ids(server: FakeServer) -> list[str | None]:
    return [request.headers.get("last-event-id") for request in server.requests_to(LOGS)]


def test_log_so_far_is_read_at_once(server: FakeServer, service: Distill) -> None:
    server.respond(LOGS, log_stream(line(4), line(5)))
    assert [item.seq for item in service.logs("job_1", attempt=1, tail=2)] == [4, 5]
    (request,) = server.requests
    assert request.query == {"follow": ["false"], "attempt": ["1"], "tail": ["2"]}


def test_broken_log_stream_is_resumed(server: FakeServer, service: Distill) -> None:
    """Also in a later attempt, until the service says that nothing will follow."""
    server.respond(
        LOGS,
        log_stream(line(1), end=False),
        log_stream(line(2), cut=True, end=False),
        NO_RESPONSE,
        problem_response(503, "unavailable", "Later."),
        log_stream(line(1, 2), end=False),
        log_stream(line(2, 2)),
    )
    items = [(item.attempt, item.seq) for item in service.logs("job_1", follow=True)]
    assert items == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert last_event_ids(server) == [None, "1:1", "1:2", "1:2", "1:2", "2:1"]


def test_logs_without_a_service_are_given_up(server: FakeServer) -> None:
    server.respond(LOGS, NO_RESPONSE)
    with make_client(server, retries=2) as service, pytest.raises(Unreachable):
        list(service.logs("job_1"))
    assert len(server.requests) == 3


def test_log_of_an_unknown_job_is_a_problem(server: FakeServer, service: Distill) -> None:
    with pytest.raises(DistillProblem, match="Nothing at"):
        list(service.logs("job_1"))
