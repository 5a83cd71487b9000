"""J19: a trainer prints as fast as it can, and its worker is killed while it does."""

import re
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, func, select

from core.settings import Settings
from core.store.database.engine import read_session
from core.store.database.tables import AttemptRow, LogChunkRow, LogRow
from core.store.logs import LogLine
from core.store.objects import log_archive
from core.store.objects.store import Objects
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import kill_service
from tests.faults.trainer_faults import TrainerFault
from tests.measurements import SOAK
from tests.worker.results import short_job
from tests.worker.service import Service, get_job, submit, wait_for, wait_for_end

MIB = 2**20
FLOOD_BYTES = 10**9 if SOAK else 10**8
BLOCK_BYTES = 100_000
MAX_LOG_BYTES = 3 * MIB
"""Head, tail, and what their last parts have beyond."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(settings.home),
        "DISTILL_DATABASE_URL": settings.database_url,
        "DISTILL_BACKOFF_SECONDS": "0.05",
    }


def flood(size: int) -> str:
    """A statement that prints so many bytes in its first trainer."""
    block = "(b'x' * 99 + b'\\n') * 1000"
    return f"times == 1 and [os.write(1, {block}) for _ in range({size // BLOCK_BYTES})]"


def read_log(engine: Engine, settings: Settings, job_id: str) -> list[LogLine]:
    return log_archive.read_lines(engine, Objects.from_settings(settings), job_id, 1)


def chunk_bytes(engine: Engine) -> int:
    with read_session(engine) as session:
        return session.scalar(select(func.sum(func.length(LogChunkRow.data)))) or 0


def written_bytes(engine: Engine, job_id: str) -> int:
    with read_session(engine) as session:
        log = session.get(LogRow, (job_id, 1))
    return 0 if log is None else log.bytes


def memory(worker: Service) -> int:
    """Return the worker's resident memory, in bytes, without its trainers'."""
    return int(psutil.Process(worker.process.pid).memory_info().rss)


def assert_consistent(lines: list[LogLine]) -> None:
    """Numbers rise, and wherever they jump a line says how many others were left out."""
    for before, line in pairwise(lines):
        if line.seq != before.seq + 1:
            match = re.fullmatch(r"… ([\d,]+) lines?, .+ left out", line.text)
            assert match, line
            assert int(match[1].replace(",", "")) == line.seq - before.seq


def test_j19_flood_costs_bounded_space_and_the_job_succeeds(
    engine: Engine,
    settings: Settings,
    environment: dict[str, str],
    tmp_path: Path,
    record_figure: RecordFigure,
) -> None:
    """The trainer is not kept waiting, and the log has its beginning and its end."""
    fault = TrainerFault(tmp_path, flood(FLOOD_BYTES))
    job_id = submit(engine, short_job(3))
    with fault.start_worker(environment, tmp_path / "worker.log") as worker:
        wait_for(lambda: get_job(engine, job_id).attempt, 120, "the claim")
        before = memory(worker)
        peak, largest = before, 0

        def has_ended() -> bool:
            nonlocal peak, largest
            peak = max(peak, memory(worker))
            largest = max(largest, chunk_bytes(engine))
            return get_job(engine, job_id).finished_at is not None

        wait_for(has_ended, 900, "the end of the job")
        job = get_job(engine, job_id)
    assert (job.status, job.attempt) == ("succeeded", 1), job.failure
    lines = read_log(engine, settings, job_id)
    assert_consistent(lines)
    assert lines[0].text == "attempt started"
    assert lines[-1].text == "attempt ended; the job is succeeded"
    assert written_bytes(engine, job_id) > FLOOD_BYTES
    assert largest < MAX_LOG_BYTES
    assert sum(len(line.text) for line in lines) < MAX_LOG_BYTES
    assert peak - before < 64 * MIB
    record_figure("printed, MB", FLOOD_BYTES / 1e6, "1000")
    record_figure("growth of the worker's memory, MiB", (peak - before) / MIB, "at most 64")
    record_figure("most in the database, MiB", largest / MIB, f"at most {MAX_LOG_BYTES / MIB:.0f}")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_j19_kill_amid_a_flood_leaves_a_readable_log(
    engine: Engine,
    settings: Settings,
    environment: dict[str, str],
    tmp_path: Path,
    record_figure: RecordFigure,
) -> None:
    """The attempt is lost; its log ends with what had been published."""
    fault = TrainerFault(tmp_path, flood(10**12))
    job_id = submit(engine, short_job(3))
    with fault.start_worker(environment, tmp_path / "worker-1.log") as worker:
        wait_for(lambda: written_bytes(engine, job_id) > 20 * MIB, 240, "a flood")
        kill_service(worker)
    killed_at = time.monotonic()
    published = read_log(engine, settings, job_id)
    assert_consistent(published)
    with fault.start_worker(environment, tmp_path / "worker-2.log"):
        job = wait_for_end(engine, job_id, 400)
        record_figure("from kill to end of the job, s", time.monotonic() - killed_at)
    assert (job.status, job.attempt) == ("succeeded", 2), job.failure
    with read_session(engine) as session:
        outcomes = session.scalars(select(AttemptRow.outcome).order_by(AttemptRow.number)).all()
    assert outcomes == ["lost", "succeeded"]
    assert read_log(engine, settings, job_id) == published
