"""``distill events``."""

import json

from tests.client.commands.runner import distill
from tests.client.fake_server import FakeServer, event_stream
from tests.client.streams.test_project_events import EVENTS, UNAUTHENTICATED, change


def test_events_are_printed_in_lines(server: FakeServer) -> None:
    progress = {"step": 7, "of": 9}
    server.respond(EVENTS, event_stream(change(3), change(4, phase="training", progress=progress)))
    result = distill("events", "--types", "job")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["12:34:56", "3", "job", "job_1", "status", "running", "digits"],
        ["12:34:56", "4", "job", "job_1", "status", "training", "7/9", "digits"],
    ]
    assert server.requests[0].query == {"follow": ["false"], "types": ["job"]}


def test_events_are_followed_as_json(server: FakeServer) -> None:
    server.respond(EVENTS, event_stream(change(3)), UNAUTHENTICATED)
    result = distill("events", "-f", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["seq"] == 3
    assert "revoked" in result.stderr
