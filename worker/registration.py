"""A worker's row in the table ``workers``: it is renewed with every heartbeat, and tells the worker
whether it is to drain.
"""

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
from core.periodic import PeriodicThread
from core.settings import Settings
from core.store import workers
from core.store.database import schema
from core.store.database.engine import read_session, write_session
from worker.resources.hardware import HardwareSampler

CHECK_SECONDS = 0.2
DRAINING = "it is draining"
log = structlog.get_logger()


def worker_name(settings: Settings) -> str:
    """Return the name of this process's worker.

    In containers every worker may be process 1, but each container has a host name of its own.
    """
    return (settings.worker_name or f"{socket.gethostname()}-{os.getpid()}")[:200]


class Registration:
    """Keeps the worker's row, and knows whether the worker may claim jobs.

    ``blocked_reason``: why it may not; None if it may. ``on_change`` is called with each new value.
    ``schema_error``: why the database's schema is not this program's; None if it is.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self.name = worker_name(settings)
        self.hardware = HardwareSampler(settings)
        self.blocked_reason: str | None = None
        self.schema_error: str | None = None
        self.exit_requested = False
        self.on_change: Callable[[str | None], object] = lambda _: None
        self._registered = False
        self._deregistered = False
        self._terminated = False
        self._next_heartbeat = 0.0
        self._lock = threading.Lock()

    def request_exit(self) -> None:
        """Claim no more jobs, and end the process when the last one has ended.

        For the handler of a signal: it only sets a flag.
        """
        self.exit_requested = True

    def start(self, shutdown: threading.Event, is_idle: Callable[[], bool]) -> None:
        """Send heartbeats until ``shutdown``. ``is_idle``: whether the worker has no job."""
        self.hardware.start(shutdown)
        PeriodicThread(
            "registration",
            lambda: self._check(is_idle),
            CHECK_SECONDS,
            shutdown,
            failure="the worker's heartbeat failed; trying again",
            first_delay_seconds=0.0,
        ).start()

    def deregister(self) -> None:
        """Remove the row, so that nobody waits for the worker's lease to expire."""
        with self._lock:
            self._deregistered = True
            try:
                with write_session(self.engine) as session:
                    workers.remove(session, self.name)
            except DistillError as error:
                log.warning("the worker's row could not be removed", error=str(error))

    def _check(self, is_idle: Callable[[], bool]) -> None:
        """Exit if that was requested and no job is left; send a heartbeat if one is due."""
        if self.exit_requested and not self._terminated and is_idle():
            self._terminated = True
            os.kill(os.getpid(), signal.SIGTERM)
            return
        is_first_after_request = self.exit_requested and self.blocked_reason is None
        if time.monotonic() >= self._next_heartbeat or is_first_after_request:
            try:
                self._send_heartbeat()
            finally:
                self._next_heartbeat = time.monotonic() + self.settings.heartbeat_seconds

    def _send_heartbeat(self) -> None:
        with self._lock:
            if self._deregistered:
                return
            # The schema first: if it is not this program's, the other statements may fail.
            self._check_schema()
            draining = self._renew_row()
            self._set_blocked(DRAINING if draining or self.exit_requested else self.schema_error)

    def _check_schema(self) -> None:
        try:
            with read_session(self.engine) as session:
                schema.require_current(session)
        except WrongSchema as error:
            self.schema_error = error.message
            self._set_blocked(self.blocked_reason or self.schema_error)
        else:
            self.schema_error = None

    def _renew_row(self) -> bool:
        """Renew or insert the row; return whether it says that the worker is to drain."""
        lease_seconds = self.settings.lease_seconds
        hardware = self.hardware.latest()
        with write_session(self.engine) as session:
            draining = None
            if self._registered:
                draining = workers.record_heartbeat(
                    session,
                    self.name,
                    lease_seconds=lease_seconds,
                    shutting_down=self.exit_requested,
                    schema_error=self.schema_error,
                    hardware=hardware,
                )
            if draining is None:
                workers.register(
                    session,
                    self.name,
                    version=__version__,
                    protocol=PROTOCOL,
                    slots=self.settings.slots,
                    lease_seconds=lease_seconds,
                    hardware=hardware,
                )
            workers.delete_lost(session)
        self._registered = True
        return bool(draining)

    def _set_blocked(self, reason: str | None) -> None:
        if reason == self.blocked_reason:
            return
        self.blocked_reason = reason
        if reason is None:
            log.info("this worker claims jobs again", worker=self.name)
        else:
            log.warning("this worker claims no more jobs", worker=self.name, reason=reason)
        self.on_change(reason)
