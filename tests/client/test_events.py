import pytest

from distill_client import events as client_events
from distill_client.client import Distill
from distill_client.errors import DistillProblem, Unreachable
from distill_client.responses import Event, Job
from tests.client.fake import (
    NO_ANSWER,
    Answer,
    Fake,
    as_json,
    client_of,
    ended,
    event,
    job,
    problem,
    stream,
)

EVENTS = "GET /v1/jobs/job_1/events"
JOB = "GET /v1/jobs/job_1"


def numbers(service: Distill, after: int = 0) -> list[int]:
    return [item.seq for item in service.events("job_1", after) if isinstance(item, Event)]


def resumed_from(fake: Fake) -> list[str | None]:
    return [request.headers.get("last-event-id") for request in fake.asked(EVENTS)]


def test_the_stream_ends_with_the_event_that_ends_the_job(fake: Fake, service: Distill) -> None:
    fake.on(EVENTS, stream(event(1), event(2), ended(3), event(4)))
    assert numbers(service) == [1, 2, 3]
    assert fake.requests[0].headers["accept"] == "text/event-stream"


def test_an_end_that_was_followed_by_another_attempt_is_not_the_end(
    fake: Fake, service: Distill
) -> None:
    fake.on(
        EVENTS, stream(event(1), job(), ended(2, "failed"), event(3), job("succeeded"), ended(4))
    )
    assert numbers(service) == [1, 2, 3, 4]


def test_a_broken_stream_is_taken_up_where_it_broke_and_nothing_is_lost_or_doubled(
    fake: Fake, service: Distill
) -> None:
    fake.on(JOB, as_json(job()))
    fake.on(
        EVENTS,
        stream(event(1), event(2), cut=True),
        NO_ANSWER,
        problem(503, "unavailable", "Later."),
        stream(event(2), event(3), cut=True),
        stream(event(4), ended(5)),
    )
    assert numbers(service) == [1, 2, 3, 4, 5]
    assert resumed_from(fake) == [None, "2", "2", "2", "3"]


def test_an_event_that_was_cut_in_half_comes_again_whole(fake: Fake, service: Distill) -> None:
    whole = stream(event(1), event(2))
    half = Answer(200, whole.body[:-20], whole.headers, cut=True)
    fake.on(EVENTS, half, stream(event(2), ended(3)))
    assert numbers(service) == [1, 2, 3]
    assert resumed_from(fake) == [None, "1"]


def test_a_stream_that_closes_early_without_an_error_is_taken_up_again(
    fake: Fake, service: Distill
) -> None:
    fake.on(JOB, as_json(job()))
    fake.on(EVENTS, stream(event(1)), stream(event(2), ended(3)))
    assert numbers(service) == [1, 2, 3]


def test_what_was_seen_is_not_asked_for(fake: Fake, service: Distill) -> None:
    fake.on(EVENTS, stream(event(8), ended(9)))
    assert numbers(service, after=7) == [8, 9]
    assert resumed_from(fake) == ["7"]


def test_following_from_behind_the_end_ends(fake: Fake, service: Distill) -> None:
    fake.on(JOB, as_json(job("succeeded")))
    fake.on(EVENTS, stream())
    assert numbers(service, after=9) == []


def test_progress_comes_between_the_events(fake: Fake, service: Distill) -> None:
    fake.on(
        EVENTS, stream(event(1), job(progress={"step": 7, "of": 9}), job("succeeded"), ended(2))
    )
    progress = [
        item.progress.step
        for item in service.events("job_1")
        if isinstance(item, Job) and item.progress
    ]
    assert progress == [7]


def test_a_job_that_is_not_there_is_a_problem_at_once(fake: Fake, service: Distill) -> None:
    with pytest.raises(DistillProblem, match="Nothing"):
        numbers(service)
    assert len(fake.requests) == 1


def test_a_stream_that_never_comes_is_given_up(fake: Fake) -> None:
    fake.on(EVENTS, NO_ANSWER)
    with client_of(fake, retries=3) as service, pytest.raises(Unreachable):
        numbers(service)
    assert len(fake.requests) == 4


def test_waiting_tells_of_every_change_and_returns_the_job_as_it_ended(
    fake: Fake, service: Distill
) -> None:
    fake.on(JOB, as_json(job("queued")), as_json(job("succeeded", model_id="mdl_1")))
    training = job(phase="training", progress={"step": 1})
    fake.on(
        EVENTS,
        stream(
            event(1),
            job(),
            event(2, "phase", phase="training"),
            training,
            job("succeeded"),
            ended(3),
        ),
    )
    seen: list[tuple[str, str | None]] = []
    assert service.wait("job_1", lambda it: seen.append((it.status, it.phase))).model_id == "mdl_1"
    assert seen == [
        ("queued", None),
        ("running", None),
        ("running", "training"),
        ("succeeded", None),
        ("succeeded", None),
    ]


def test_waiting_for_a_job_that_has_ended_needs_no_stream(fake: Fake, service: Distill) -> None:
    fake.on(JOB, as_json(job("failed")))
    assert service.wait("job_1").status == "failed"
    assert fake.asked(EVENTS) == []


@pytest.mark.parametrize(
    "no_stream", [NO_ANSWER, Answer(200, b"[]", {"Content-Type": "application/json"})]
)
def test_where_no_stream_comes_through_waiting_polls(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, no_stream: Answer
) -> None:
    monkeypatch.setattr(client_events, "POLL_SECONDS", 0.01)
    fake.on(JOB, as_json(job("queued")), as_json(job()), as_json(job("succeeded")))
    fake.on(EVENTS, no_stream)
    with client_of(fake, retries=1) as service:
        assert service.wait("job_1").status == "succeeded"


def test_a_database_that_is_away_for_a_while_does_not_end_the_waiting(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_events, "POLL_SECONDS", 0.01)
    away = problem(503, "unavailable", "The database does not answer.")
    fake.on(JOB, as_json(job("queued")), *[away] * 6, as_json(job("succeeded")))
    fake.on(EVENTS, away)
    with client_of(fake, retries=1) as service:
        assert service.wait("job_1").status == "succeeded"
