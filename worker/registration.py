"""One worker's place in the table ``workers``: it says every heartbeat that it is there, and hears whether it is to drain."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from core import __version__
from core.errors import DistillError, WrongSchema
from core.jobspec.status import PROTOCOL
from core.settings import Settings
from core.store import workers
from core.store.database import schema
from core.store.database.engine import read_session, write_session

LOOK_SECONDS = 0.2
DRAINING = "it drains"
log = structlog.get_logger()


def worker_name(settings: Settings) -> str:
    """Of this process. Containers may all be process 1, but each has a host name of its own."""
    return (settings.worker_name or f"{socket.gethostname()}-{os.getpid()}")[:200]


class Registration:
    """``closed``: why this worker claims nothing at present; None where it may. ``on_change`` is told of each change."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings, self.engine, self.name = settings, engine, worker_name(settings)
        self.closed: str | None = None
        self.trouble: str | None = None
        """The database is of another schema."""
        self.leaving = False
        self.on_change: Callable[[str | None], object] = lambda _: None
        self._registered = False
        self._ended = False
        self._lock = threading.Lock()

    def leave(self) -> None:
        """Drain, and end when no job is left. For a signal's handler: it only leaves a note."""
        self.leaving = True

    def start(self, shutdown: threading.Event, at_rest: Callable[[], bool]) -> None:
        threading.Thread(
            target=self._keep, args=(shutdown, at_rest), name="registry", daemon=True
        ).start()

    def end(self) -> None:
        """Nobody need wait for this worker's lease to run out."""
        with self._lock:
            self._ended = True
            try:
                with write_session(self.engine) as session:
                    workers.remove(session, self.name)
            except DistillError as error:
                log.warning("this worker could not say that it ends", error=str(error))

    def beat(self) -> None:
        """The schema first: where it is not this program's own, the rest may fail."""
        with self._lock:
            if self._ended:
                return
            try:
                self._look()
                self._become(DRAINING if self._say() or self.leaving else self.trouble)
            except DistillError as error:
                log.warning(
                    "this worker could not say that it is there; it tries again", error=str(error)
                )
            except Exception:
                log.exception("this worker could not say that it is there; it tries again")

    def _keep(self, shutdown: threading.Event, at_rest: Callable[[], bool]) -> None:
        """Until ``shutdown``. A worker that leaves, once it is ``at_rest``, ends as if by SIGTERM."""
        next_beat = 0.0
        while not shutdown.is_set():
            if time.monotonic() >= next_beat or (self.leaving and self.closed is None):
                self.beat()
                next_beat = time.monotonic() + self.settings.heartbeat_seconds
            if self.leaving and at_rest():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            shutdown.wait(LOOK_SECONDS)

    def _look(self) -> None:
        try:
            with read_session(self.engine) as session:
                schema.require_current(session)
        except WrongSchema as error:
            self.trouble = error.message
            self._become(self.closed or self.trouble)
        else:
            self.trouble = None

    def _say(self) -> bool:
        """Whether the table says to drain."""
        lease_seconds = self.settings.lease_seconds
        with write_session(self.engine) as session:
            draining = None
            if self._registered:
                draining = workers.record_heartbeat(
                    session,
                    self.name,
                    lease_seconds=lease_seconds,
                    shutting_down=self.leaving,
                    trouble=self.trouble,
                )
            if draining is None:
                workers.register(
                    session,
                    self.name,
                    version=__version__,
                    protocol=PROTOCOL,
                    slots=self.settings.slots,
                    lease_seconds=lease_seconds,
                )
            workers.delete_lost(session)
        self._registered = True
        return bool(draining)

    def _become(self, closed: str | None) -> None:
        if closed == self.closed:
            return
        self.closed = closed
        if closed is None:
            log.info("this worker claims jobs again", worker=self.name)
        else:
            log.warning("this worker claims no more jobs", worker=self.name, reason=closed)
        self.on_change(closed)
