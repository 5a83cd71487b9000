"""Exit statuses, and what is printed about errors."""

import subprocess
import sys

import pytest

from tests.client.commands.runner import distill
from tests.client.fake_server import FakeServer, problem_response


def test_unreachable_service_exits_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_URL", "http://127.0.0.1:9")
    result = distill("jobs")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "http://127.0.0.1:9 cannot be reached" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "no-such-file.yaml"],
        ["datasets", "add", "name"],
        ["datasets", "add", "name", "--folder", "a", "--download", "cifar10"],
        ["datasets", "add", "name", "--folder", "a", "--every", "10", "--classes", __file__],
        ["up", "--port", "70000"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(server: FakeServer, arguments: list[str]) -> None:
    """It sends no request."""
    assert distill(*arguments).exit_code == 2
    assert server.requests == []


def test_missing_key_is_explained(server: FakeServer) -> None:
    detail = "This API key is unknown, expired or revoked."
    server.respond("GET /v1/jobs", problem_response(401, "unauthenticated", detail))
    result = distill("jobs")
    assert result.exit_code == 2
    assert "DISTILL_API_KEY" in result.stderr


def test_client_needs_nothing_of_the_service() -> None:
    """No torch, no database, no web framework, and no package of the service is imported."""
    code = "import sys, distill_client, distill_client.main; print(*sorted(sys.modules))"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    packages = {module.partition(".")[0] for module in output.split()}
    assert "distill_client" in packages
    heavy = {"torch", "numpy", "matplotlib", "sqlalchemy", "fastapi", "celery", "obstore"}
    service = {"api", "core", "worker", "embedded", "migrations"}
    assert packages & (heavy | service) == set()
