"""``python -m worker.polling``: a worker without a broker, which polls the jobs table instead."""

import signal
import sys
import threading

import structlog

from core import logs
from core.errors import WrongSchema
from core.periodic import PeriodicThread
from core.settings import load_settings
from core.store.database.engine import make_engine, require_schema
from core.store.objects.store import Objects
from worker import reconciler, sandbox
from worker.supervisor import Supervisor

log = structlog.get_logger()


def serve(supervisor: Supervisor) -> None:
    """Run jobs, as many at a time as there are slots, until shutdown."""
    settings = supervisor.settings
    registration = supervisor.registration
    registration.start(supervisor.shutdown, supervisor.is_idle)
    reconciler.start(settings, supervisor)
    slots = [
        PeriodicThread(
            f"slot-{number}",
            supervisor.run,
            settings.poll_seconds,
            supervisor.shutdown,
            failure="claiming or running a job failed; trying again",
            first_delay_seconds=0.0,
            daemon=False,
        )
        for number in range(settings.slots)
    ]
    log.info("worker ready", worker=registration.name, slots=settings.slots)
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join()
    registration.deregister()
    log.info("worker ended", worker=registration.name)


def main() -> int:
    """Serve until a signal.

    SIGTERM, SIGINT: release the jobs and exit. SIGUSR1: finish them, claim no more, and exit.
    """
    settings = load_settings()
    logs.configure(settings)
    sandbox.make_undumpable()
    shutdown = threading.Event()
    engine = make_engine(settings.resolved_database_url)
    supervisor = Supervisor(settings, engine, Objects.from_settings(settings), shutdown)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: shutdown.set())
    signal.signal(signal.SIGUSR1, lambda *_: supervisor.registration.request_exit())
    try:
        require_schema(engine)
    except WrongSchema as error:
        print(error, file=sys.stderr)
        return 1
    serve(supervisor)
    return 0


if __name__ == "__main__":
    sys.exit(main())
