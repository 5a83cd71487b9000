import pytest

from tests.client.fake_server import FakeServer


@pytest.fixture(autouse=True)
def address(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command use the fake server."""
    monkeypatch.setenv("DISTILL_URL", server.url)
    monkeypatch.setenv("DISTILL_API_KEY", "dk_secret")
