"""``python -m worker.polling``: the embedded front door. The same supervisor, fed by polling the jobs table, without a broker."""

import signal
import sys
import threading

import structlog

from core import logs
from core.errors import DistillError, WrongSchema
from core.settings import load_settings
from core.store.database.engine import make_engine, require_schema
from core.store.objects.store import Objects
from worker import reconciler, sandbox
from worker.supervisor import Supervisor

log = structlog.get_logger()


def poll(supervisor: Supervisor) -> None:
    """Claim and run one job after another until shutdown."""
    shutdown, pause = supervisor.shutdown, supervisor.settings.poll_seconds
    while not shutdown.is_set():
        try:
            worked = supervisor.run()
        except DistillError as error:
            log.warning("looking for work failed; trying again", error=str(error))
            worked = False
        except Exception:  # a slot that ends is a worker that works no more
            log.exception("an attempt failed in an unforeseen way; its lease will run out")
            worked = False
        if not worked:
            shutdown.wait(pause)


def serve(supervisor: Supervisor) -> None:
    setup, registry = supervisor.settings, supervisor.registration
    registry.start(supervisor.shutdown, supervisor.at_rest)
    reconciler.start(setup, supervisor)
    slots = [
        threading.Thread(target=poll, args=(supervisor,), name=f"slot-{number}")
        for number in range(setup.slots)
    ]
    log.info("worker ready", worker=registry.name, slots=setup.slots)
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join()
    registry.end()
    log.info("worker ended", worker=registry.name)


def main() -> int:
    """SIGTERM and SIGINT: give the jobs back and end. SIGUSR1: finish them, claim no more, and end."""
    setup = load_settings()
    logs.configure(setup)
    sandbox.disable_core_inspection()
    shutdown = threading.Event()
    engine = make_engine(setup.resolved_database_url)
    supervisor = Supervisor(setup, engine, Objects.from_settings(setup), shutdown)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: shutdown.set())
    signal.signal(signal.SIGUSR1, lambda *_: supervisor.registration.leave())
    try:
        require_schema(engine)
    except WrongSchema as error:
        print(error, file=sys.stderr)
        return 1
    serve(supervisor)
    return 0


if __name__ == "__main__":
    sys.exit(main())
