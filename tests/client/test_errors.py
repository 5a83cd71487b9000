"""What a refused request shows."""

import pytest

from distill_client import Distill, DistillProblem
from tests.client.fake_server import FakeResponse, FakeServer, problem_response


def submit_refused(service: Distill) -> str:
    with pytest.raises(DistillProblem) as raised:
        service.submit({})
    return str(raised.value)


def test_problem_shows_every_field_with_its_path(server: FakeServer, service: Distill) -> None:
    errors = [
        {"path": ["evaluation", "attacks", 0, "steps"], "message": "A whole number is needed."},
        {"path": ["teacher"], "message": "There is no model 'x'."},
    ]
    response = problem_response(422, "invalid_request", "Two fields are wrong.", errors)
    server.respond("POST /v1/jobs", response)
    assert submit_refused(service) == (
        "Two fields are wrong.\n"
        "  evaluation.attacks.0.steps: A whole number is needed.\n"
        "  teacher: There is no model 'x'."
    )


def test_problem_of_one_field_is_not_repeated(server: FakeServer, service: Distill) -> None:
    message = "There is no model 'x'."
    errors = [{"path": ["teacher"], "message": message}]
    server.respond("POST /v1/jobs", problem_response(422, "invalid_request", message, errors))
    assert submit_refused(service) == f"teacher: {message}"


def test_error_page_of_a_proxy_is_described(server: FakeServer, service: Distill) -> None:
    """The page itself is not repeated."""
    page = FakeResponse(413, b"<html>nginx</html>", {"Content-Type": "text/html"})
    server.respond("POST /v1/jobs", page)
    message = submit_refused(service)
    assert "413" in message
    assert "html>" not in message
