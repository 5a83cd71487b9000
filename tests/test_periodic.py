"""A periodic thread goes on after failures, and calls again at once when there is more to do."""

import threading
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import capture_logs

from core import periodic
from core.errors import Unavailable
from core.periodic import PeriodicThread

TIMEOUT_SECONDS = 30.0
NEVER_SECONDS = 10_000.0


def run(action: Callable[[], bool | None], stop: threading.Event, seconds: float) -> None:
    """Run a thread whose action sets ``stop`` in the end."""
    thread = PeriodicThread(
        "test", action, seconds, stop, failure="it failed", first_delay_seconds=0.0
    )
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("error", "level"), [(Unavailable("away"), "warning"), (KeyError("bug"), "error")]
)
def test_a_failure_is_logged_and_the_next_call_follows(
    monkeypatch: pytest.MonkeyPatch, error: Exception, level: str
) -> None:
    monkeypatch.setattr(periodic, "log", structlog.get_logger())  # not one cached earlier
    stop = threading.Event()
    calls: list[None] = []

    def action() -> None:
        calls.append(None)
        if len(calls) == 1:
            raise error
        stop.set()

    with capture_logs() as logs:
        run(action, stop, seconds=0.001)
    assert len(calls) == 2
    assert [(line["event"], line["log_level"]) for line in logs] == [("it failed", level)]


def test_an_action_that_returns_true_is_called_at_once() -> None:
    stop = threading.Event()
    calls: list[None] = []

    def action() -> bool:
        calls.append(None)
        if len(calls) == 3:
            stop.set()
        return len(calls) < 3

    run(action, stop, seconds=NEVER_SECONDS)
    assert len(calls) == 3
