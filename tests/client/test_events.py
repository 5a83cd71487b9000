"""The event stream of a job, and waiting for its end."""

import pytest

from distill_client import Distill, DistillProblem, Unreachable
from distill_client import events as client_events
from distill_client.responses import Event, Job
from tests.client.fake_server import (
    NO_RESPONSE,
    FakeResponse,
    FakeServer,
    event,
    event_stream,
    final_event,
    job,
    json_response,
    make_client,
    problem_response,
)

EVENTS = "GET /v1/jobs/job_1/events"
JOB = "GET /v1/jobs/job_1"


def numbers(service: Distill, after: int = 0) -> list[int]:
    return [item.seq for item in service.events("job_1", after) if isinstance(item, Event)]


def last_event_ids(server: FakeServer) -> list[str | None]:
    return [request.headers.get("last-event-id") for request in server.requests_to(EVENTS)]


def test_stream_ends_with_the_event_that_ends_the_job(server: FakeServer, service: Distill) -> None:
    server.respond(EVENTS, event_stream(event(1), event(2), final_event(3), event(4)))
    assert numbers(service) == [1, 2, 3]
    assert server.requests[0].headers["accept"] == "text/event-stream"


def test_stream_goes_on_with_a_retried_job(server: FakeServer, service: Distill) -> None:
    """An end that was followed by another attempt is not the end."""
    first = (event(1), job(), final_event(2, "failed"))
    second = (event(3), job("succeeded"), final_event(4))
    server.respond(EVENTS, event_stream(*first, *second))
    assert numbers(service) == [1, 2, 3, 4]


def test_broken_stream_is_resumed(server: FakeServer, service: Distill) -> None:
    """No event is lost or repeated."""
    server.respond(JOB, json_response(job()))
    server.respond(
        EVENTS,
        event_stream(event(1), event(2), cut=True),
        NO_RESPONSE,
        problem_response(503, "unavailable", "Later."),
        event_stream(event(2), event(3), cut=True),
        event_stream(event(4), final_event(5)),
    )
    assert numbers(service) == [1, 2, 3, 4, 5]
    assert last_event_ids(server) == [None, "2", "2", "2", "3"]


def test_truncated_event_is_sent_again(server: FakeServer, service: Distill) -> None:
    complete = event_stream(event(1), event(2))
    truncated = FakeResponse(200, complete.body[:-20], complete.headers, cut=True)
    server.respond(EVENTS, truncated, event_stream(event(2), final_event(3)))
    assert numbers(service) == [1, 2, 3]
    assert last_event_ids(server) == [None, "1"]


def test_stream_that_closes_early_is_resumed(server: FakeServer, service: Distill) -> None:
    """Also if the connection was closed without an error."""
    server.respond(JOB, json_response(job()))
    server.respond(EVENTS, event_stream(event(1)), event_stream(event(2), final_event(3)))
    assert numbers(service) == [1, 2, 3]


def test_earlier_events_are_not_requested(server: FakeServer, service: Distill) -> None:
    server.respond(EVENTS, event_stream(event(8), final_event(9)))
    assert numbers(service, after=7) == [8, 9]
    assert last_event_ids(server) == ["7"]


def test_stream_from_behind_the_end_is_empty(server: FakeServer, service: Distill) -> None:
    server.respond(JOB, json_response(job("succeeded")))
    server.respond(EVENTS, event_stream())
    assert numbers(service, after=9) == []


def test_progress_comes_between_the_events(server: FakeServer, service: Distill) -> None:
    running = job(progress={"step": 7, "of": 9})
    server.respond(EVENTS, event_stream(event(1), running, job("succeeded"), final_event(2)))
    progress = [
        item.progress.step
        for item in service.events("job_1")
        if isinstance(item, Job) and item.progress
    ]
    assert progress == [7]


def test_unknown_job_is_a_problem_at_once(server: FakeServer, service: Distill) -> None:
    with pytest.raises(DistillProblem, match="Nothing"):
        numbers(service)
    assert len(server.requests) == 1


def test_stream_that_never_opens_is_given_up(server: FakeServer) -> None:
    server.respond(EVENTS, NO_RESPONSE)
    with make_client(server, retries=3) as service, pytest.raises(Unreachable):
        numbers(service)
    assert len(server.requests) == 4


def test_waiting_reports_every_change(server: FakeServer, service: Distill) -> None:
    """It returns the job as it has ended."""
    ended = job("succeeded", model_id="mdl_1")
    server.respond(JOB, json_response(job("queued")), json_response(ended))
    training = job(phase="training", progress={"step": 1})
    server.respond(
        EVENTS,
        event_stream(
            event(1),
            job(),
            event(2, "phase", phase="training"),
            training,
            job("succeeded"),
            final_event(3),
        ),
    )
    updates: list[tuple[str, str | None]] = []
    result = service.wait("job_1", lambda it: updates.append((it.status, it.phase)))
    assert result.model_id == "mdl_1"
    assert updates == [
        ("queued", None),
        ("running", None),
        ("running", "training"),
        ("succeeded", None),
        ("succeeded", None),
    ]


def test_waiting_for_an_ended_job_needs_no_stream(server: FakeServer, service: Distill) -> None:
    server.respond(JOB, json_response(job("failed")))
    assert service.wait("job_1").status == "failed"
    assert server.requests_to(EVENTS) == []


@pytest.mark.parametrize(
    "no_stream", [NO_RESPONSE, FakeResponse(200, b"[]", {"Content-Type": "application/json"})]
)
def test_waiting_polls_without_a_stream(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, no_stream: FakeResponse
) -> None:
    monkeypatch.setattr(client_events, "POLL_SECONDS", 0.01)
    statuses = ("queued", "running", "succeeded")
    server.respond(JOB, *(json_response(job(status)) for status in statuses))
    server.respond(EVENTS, no_stream)
    with make_client(server, retries=1) as service:
        assert service.wait("job_1").status == "succeeded"


def test_waiting_survives_an_outage_of_the_database(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_events, "POLL_SECONDS", 0.01)
    unavailable = problem_response(503, "unavailable", "The database does not answer.")
    server.respond(
        JOB, json_response(job("queued")), *[unavailable] * 6, json_response(job("succeeded"))
    )
    server.respond(EVENTS, unavailable)
    with make_client(server, retries=1) as service:
        assert service.wait("job_1").status == "succeeded"
