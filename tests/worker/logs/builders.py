"""Logs of real attempts on a real database, and what callers read of them."""

from pathlib import Path

from sqlalchemy import Engine

from core.settings import Settings
from core.store.attempts import Attempt
from core.store.logs import LogLine
from core.store.objects import log_archive
from core.store.objects.store import Objects
from tests.builders import create_attempt
from worker.logs.attempt_log import AttemptLog

NOWHERE = Objects("memory:///")


def create_log(engine: Engine, attempt: Attempt | None = None) -> AttemptLog:
    """The log of a running attempt. Its thread is not started: the test publishes."""
    return AttemptLog(attempt or create_attempt(engine), Path("/nowhere/job"), lambda: None)


def read(log: AttemptLog, after: int = 0, objects: Objects = NOWHERE) -> list[LogLine]:
    attempt = log.attempt
    return log_archive.read_lines(attempt.engine, objects, attempt.job_id, attempt.number, after)


def texts(log: AttemptLog, after: int = 0, objects: Objects = NOWHERE) -> list[str]:
    return [line.text for line in read(log, after, objects)]


def memory_objects() -> Objects:
    return Objects.from_settings(Settings(objects_url="memory:///"))
