"""The stream of the project's changes."""

from typing import Any

import pytest

from distill_client import Distill, DistillProblem, Unreachable
from distill_client.responses import ProjectEvent
from tests.client.fake_server import (
    CREATED_AT,
    NO_RESPONSE,
    FakeResponse,
    FakeServer,
    event_stream,
    make_client,
    problem_response,
)

EVENTS = "GET /v1/events"
UNAUTHENTICATED = problem_response(401, "unauthenticated", "This API key is revoked.")


def change(seq: int, **state: Any) -> dict[str, Any]:
    data = {"status": "running", "name": "digits", **state}
    return {
        "seq": seq,
        "type": "job",
        "id": "job_1",
        "change": "status",
        "at": CREATED_AT,
        "data": data,
    }


def with_text(response: FakeResponse, text: str) -> FakeResponse:
    """The same stream with more at its end."""
    return FakeResponse(200, response.body + text.encode(), response.headers, response.cut)


def last_event_ids(server: FakeServer) -> list[str | None]:
    return [request.headers.get("last-event-id") for request in server.requests_to(EVENTS)]


def follow(service: Distill) -> list[int | None]:
    """The numbers of the changes, None for a reset, until the key is refused."""
    numbers: list[int | None] = []

    def read() -> None:
        for item in service.project_events():
            numbers.append(item.seq if isinstance(item, ProjectEvent) else None)

    with pytest.raises(DistillProblem, match="revoked"):
        read()
    return numbers


def test_changes_so_far_are_listed(server: FakeServer, service: Distill) -> None:
    server.respond(EVENTS, event_stream(change(3), change(4)))
    items = list(service.project_events(after=2, types=["job", "model"], follow=False))
    assert [item.seq for item in items if isinstance(item, ProjectEvent)] == [3, 4]
    (request,) = server.requests
    assert request.query == {"follow": ["false"], "types": ["job,model"]}
    assert last_event_ids(server) == ["2"]


def test_broken_stream_of_changes_is_resumed(server: FakeServer, service: Distill) -> None:
    """From its last number, also one that came without a change."""
    server.respond(
        EVENTS,
        with_text(event_stream(), "id: 7\n\n"),
        event_stream(change(8), cut=True),
        NO_RESPONSE,
        problem_response(503, "unavailable", "Later."),
        with_text(event_stream(change(9)), ": still here\nid: 12\n\n"),
        event_stream(change(13)),
        UNAUTHENTICATED,
    )
    assert follow(service) == [8, 9, 13]
    assert last_event_ids(server) == [None, "7", "8", "8", "8", "12", "13"]


def test_missed_changes_are_reported(server: FakeServer, service: Distill) -> None:
    reset = with_text(event_stream(), "id: 90\nevent: reset\ndata: {}\n\n")
    server.respond(EVENTS, reset, event_stream(change(91)), UNAUTHENTICATED)
    assert follow(service) == [None, 91]
    assert last_event_ids(server) == [None, "90", "91"]


def test_changes_without_a_service_are_given_up(server: FakeServer) -> None:
    server.respond(EVENTS, NO_RESPONSE)
    with make_client(server, retries=2) as service, pytest.raises(Unreachable):
        list(service.project_events())
    assert len(server.requests) == 3
