"""A thread that does the same work every few seconds, logs a failure, and goes on."""

import contextvars
import threading
from collections.abc import Callable

import structlog

from core.errors import DistillError

log = structlog.get_logger()


class PeriodicThread(threading.Thread):
    """Calls ``action`` every ``seconds`` until ``stop`` is set.

    An action that returns True is called again at once. A failure does not end the thread: it is
    logged as ``failure``, with a traceback unless it is a DistillError, and the next call follows
    after ``seconds``. The action runs in a copy of the context in which the thread was made, so
    that its log lines are about the same attempt.
    """

    def __init__(
        self,
        name: str,
        action: Callable[[], bool | None],
        seconds: float,
        stop: threading.Event,
        *,
        failure: str,
        first_delay_seconds: float | None = None,
        daemon: bool = True,
    ) -> None:
        """``first_delay_seconds``: time before the first call; None: ``seconds``."""
        super().__init__(name=name, daemon=daemon)
        self.action = action
        self.seconds = seconds
        self.stop = stop
        self.failure = failure
        self.first_delay_seconds = first_delay_seconds
        self._context = contextvars.copy_context()

    def run(self) -> None:
        delay = self.seconds if self.first_delay_seconds is None else self.first_delay_seconds
        while not self.stop.wait(delay):
            delay = 0.0 if self._context.run(self._call) else self.seconds

    def _call(self) -> bool:
        """Return whether the action wants to be called again at once."""
        try:
            return self.action() is True
        except DistillError as error:
            log.warning(self.failure, error=str(error))
        except Exception:
            log.exception(self.failure)
        return False
