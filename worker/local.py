"""``python -m worker.local``: the embedded front door. The same supervisor, fed by polling the jobs table, without a broker."""

import signal
import threading

import structlog

from core import logs
from core.errors import DistillError
from core.settings import Settings, settings
from core.store import attempts
from core.store.engine import make_engine, reading
from core.store.objects import Objects
from worker import confined, sweeper
from worker.supervisor import Supervisor, worker_name

log = structlog.get_logger()


def poll(supervisor: Supervisor) -> None:
    """Claim and run one job after another until shutdown."""
    shutdown, pause = supervisor.shutdown, supervisor.settings.poll_seconds
    while not shutdown.is_set():
        try:
            with reading(supervisor.engine) as session:
                waiting = attempts.next_queued(session, limit=supervisor.settings.slots + 1)
            worked = any(supervisor.run(job_id) for job_id in waiting)
        except DistillError as error:
            log.warning("looking for work failed; trying again", error=str(error))
            worked = False
        except Exception:  # a slot that ends is a worker that works no more
            log.exception("an attempt failed in an unforeseen way; its lease will run out")
            worked = False
        if not worked:
            shutdown.wait(pause)


def serve(setup: Settings, shutdown: threading.Event) -> None:
    engine = make_engine(setup.resolved_database_url)
    supervisor = Supervisor(setup, engine, Objects.from_settings(setup), shutdown)
    sweeper.start(setup, supervisor)
    slots = [threading.Thread(target=poll, args=(supervisor,), name=f"slot-{number}") for number in range(setup.slots)]
    log.info("worker ready", worker=worker_name(setup), slots=setup.slots)
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join()
    log.info("worker ended", worker=worker_name(setup))


def main() -> None:
    setup = settings()
    logs.configure(setup)
    confined.keep_to_itself()
    shutdown = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: shutdown.set())
    serve(setup, shutdown)


if __name__ == "__main__":
    main()
