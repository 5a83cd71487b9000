"""Periodically remove what is no longer needed, from the store and this machine's cache."""

import random
import threading

import structlog

from core.periodic import PeriodicThread
from core.settings import Settings
from core.store.commands.storage import open_database
from core.store.objects.collector import Collector
from core.store.objects.store import Objects

log = structlog.get_logger()


def collect(settings: Settings) -> None:
    """Run the collector on a database connection of its own.

    Deleting the rows of a long job takes longer than a worker waits for any other statement.
    """
    engine = open_database(settings)
    try:
        for removed in Collector(settings, engine, Objects.from_settings(settings)).collect():
            log.info("removed", kind=removed.kind, name=removed.name, bytes=removed.size)
    finally:
        engine.dispose()


def start(settings: Settings, shutdown: threading.Event) -> None:
    """Collect every ``collect_seconds``, in a thread of its own.

    The first time comes early, so that a service that is never up for that long is tidied, too,
    and at a random moment, so that workers started together do not collect together.
    """
    jitter = random.uniform(0.05, 0.15)  # noqa: S311 - not for cryptography
    PeriodicThread(
        "collector",
        lambda: collect(settings),
        settings.collect_seconds,
        shutdown,
        failure="the collector failed; trying again",
        first_delay_seconds=settings.collect_seconds * jitter,
    ).start()
