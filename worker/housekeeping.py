"""Now and then: what nobody needs any more is removed, from the store and from this machine's cache."""

import random
import threading

import structlog

from core.errors import DistillError
from core.settings import Settings
from core.store.commands.storage import open_database
from core.store.objects.collector import Collector
from core.store.objects.store import Objects

log = structlog.get_logger()


def collect_once(settings: Settings) -> None:
    """With a connection of its own: a long job's rows take longer to delete than a worker waits for anything else."""
    engine = open_database(settings)
    try:
        for removed in Collector(settings, engine, Objects.from_settings(settings)).collect():
            log.info("removed", kind=removed.kind, name=removed.name, bytes=removed.size)
    finally:
        engine.dispose()


def collect_forever(settings: Settings, shutdown: threading.Event) -> None:
    """The first time soon: a service that runs for less than ``collect_seconds`` at a time is tidied, too."""
    pause = settings.collect_seconds * random.uniform(0.05, 0.15)  # noqa: S311 - workers that start together do not look together
    while not shutdown.wait(pause):
        try:
            collect_once(settings)
        except DistillError as error:
            log.warning("collecting failed; it is tried again", error=str(error))
        except Exception:
            log.exception("collecting failed; it is tried again")
        pause = settings.collect_seconds


def start(settings: Settings, shutdown: threading.Event) -> None:
    """A thread of its own: the sweeper must not wait for it."""
    threading.Thread(
        target=collect_forever, args=(settings, shutdown), name="collector", daemon=True
    ).start()
