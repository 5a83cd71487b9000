"""What an attempt writes is published: completely at first, and within bounds whatever comes."""

import re
import threading
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Engine, func, select

from core import logs as service_logs
from core.errors import LeaseLost, Unavailable
from core.settings import Settings
from core.store import attempts, logs
from core.store.database.engine import read_session
from core.store.database.tables import JobRow, LogChunkRow, LogRow
from tests.builders import create_attempt
from tests.worker.logs.builders import create_log, read, texts
from worker.logs import attempt_log
from worker.logs.attempt_log import AttemptLog
from worker.logs.line_buffer import HEAD_BYTES, TAIL_BYTES

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MIB = 2**20


def chunk_bytes(engine: Engine) -> int:
    with read_session(engine) as session:
        return session.scalar(select(func.sum(func.length(LogChunkRow.data)))) or 0


def test_lines_of_all_streams_are_numbered_in_order(engine: Engine) -> None:
    log = create_log(engine)
    log.write("stdout", b"epoch 1\nepo")
    log.note("attempt started")
    log.write("stderr", b"a warning\n")
    log.write("stdout", b"ch 2\n")
    log.publish()
    log.write("stdout", b"epoch 3\nno end")
    log.write("stdout", b"")
    log.publish()
    assert [(line.seq, line.stream, line.text) for line in read(log)] == [
        (1, "stdout", "epoch 1"),
        (2, "supervisor", "attempt started"),
        (3, "stderr", "a warning"),
        (4, "stdout", "epoch 2"),
        (5, "stdout", "epoch 3"),
        (6, "stdout", "no end"),
    ]
    assert texts(log, after=4) == ["epoch 3", "no end"]
    with read_session(engine) as session:
        row = session.scalars(select(LogRow)).one()
        assert (row.lines, row.bytes) == (6, 57)
        # A few short lines share a row.
        assert session.scalar(select(func.count()).select_from(LogChunkRow)) == 1


def test_times_are_those_of_the_database(engine: Engine) -> None:
    log = create_log(engine)
    log.write("stdout", b"a line\n")
    log.publish()
    (line,) = read(log)
    assert 0 <= line.at - log.attempt.started_at < 60_000


def test_publishing_does_not_change_the_jobs_etag(engine: Engine) -> None:
    log = create_log(engine)
    with read_session(engine) as session:
        before = session.scalars(select(JobRow.version)).one()
    log.write("stdout", b"a line\n")
    log.publish()
    with read_session(engine) as session:
        assert session.scalars(select(JobRow.version)).one() == before


def test_end_of_an_attempt_completes_its_log(engine: Engine) -> None:
    """Once, also where its transaction had to be repeated."""
    log = create_log(engine)
    log.write("stdout", b"last words\n")

    def end_in_vain() -> None:
        with log.attempt.fenced_session() as (session, job):
            attempts.succeed(session, job)
            log.complete(session, "attempt ended")
            raise Unavailable("The database is away.")

    with pytest.raises(Unavailable):
        end_in_vain()
    assert texts(log) == []
    with log.attempt.fenced_session() as (session, job):
        attempts.succeed(session, job)
        log.complete(session, "attempt ended")
    assert texts(log) == ["last words", "attempt ended"]


def test_lost_attempt_publishes_nothing_more(engine: Engine) -> None:
    log = create_log(engine)
    log.write("stdout", b"published\n")
    log.publish()
    with log.attempt.fenced_session() as (session, job):
        attempts.release(session, job, "its worker was lost")
    log.write("stdout", b"too late\n")
    log.publish()
    assert texts(log) == ["published"]
    with pytest.raises(LeaseLost), log.attempt.fenced_session():
        pass


def test_nothing_is_lost_while_nothing_can_be_published(engine: Engine) -> None:
    log = create_log(engine)
    refusals = [Unavailable("The lease may have expired.")]

    def check() -> None:
        if refusals:
            raise refusals.pop()

    log.check = check
    log.write("stdout", b"one\n")
    log.publish()
    assert texts(log) == []
    log.write("stdout", b"two\n")
    log.publish()
    assert texts(log) == ["one", "two"]


def test_unknown_commit_repeats_no_line(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is lost after the commit, and what follows leaves no room for all of it."""
    log = create_log(engine)
    log.write("stdout", b"head\n" + b"x" * HEAD_BYTES + b"\n")
    for number in range(30):
        log.write("stdout", b"%d\n" % number + (b"y" * 99 + b"\n") * 100)
    with monkeypatch.context() as patch:
        patch.setattr(log._buffer, "discard", lambda last_seq: None)
        patch.setattr(log, "_segments", log._segments)
        log.publish()
    for number in range(30, 100):
        log.write("stdout", b"%d\n" % number + (b"y" * 99 + b"\n") * 100)
    log.publish_rest()
    seqs = [line.seq for line in read(log)]
    assert seqs == sorted(set(seqs))
    assert seqs[-1] == 2 + 100 * 101


def numbers(lines: list[str]) -> list[int]:
    return [int(match[1]) for line in lines if (match := re.match(r"line (\d+) ", line))]


def test_head_and_tail_stay_and_the_middle_is_counted(engine: Engine) -> None:
    log = create_log(engine)
    count = 100_000
    padding = b"x" * 80
    for first in range(0, count, 1000):
        data = b"".join(
            b"line %d %b\n" % (number, padding) for number in range(first, first + 1000)
        )
        log.write("stdout", data)
        if first % 5000 == 0:
            log.publish()
    log.publish_rest()
    lines = read(log)
    visible = numbers([line.text for line in lines])
    assert visible[:5000] == list(range(5000)), "the head is complete"
    assert visible[-5000:] == list(range(count - 5000, count)), "and so is the tail"
    assert [line.seq for line in lines] == sorted({line.seq for line in lines})
    gaps = [line for line in lines if line.stream == "supervisor"]
    omitted = [re.fullmatch(r"… ([\d,]+) lines?, (.+) left out", gap.text) for gap in gaps]
    assert sum(int(match[1].replace(",", "")) for match in omitted if match) == count - len(visible)
    assert chunk_bytes(engine) < HEAD_BYTES + TAIL_BYTES + MIB // 2


@on_sqlite
@pytest.mark.parametrize(
    "piece", [b"\n" * 65536, b"x" * 65536, b"\xff" * 4000 + b"\n", b"\x1b[31m\x07\n" * 7000]
)
def test_bounds_hold_for_strange_output(engine: Engine, piece: bytes) -> None:
    log = create_log(engine)
    for _ in range(30 * MIB // len(piece)):
        log.write("stderr", piece)
    log.write("stderr", b"")
    log.publish()
    log.publish_rest()
    assert chunk_bytes(engine) < 4 * MIB
    assert log._buffer._tail_cost <= TAIL_BYTES + MIB
    with read_session(engine) as session:
        (row,) = session.scalars(select(LogRow))
    assert row.bytes <= 30 * MIB + 1


@on_sqlite
def test_outage_takes_bounded_memory(engine: Engine) -> None:
    log = create_log(engine)

    def check() -> None:
        raise Unavailable("The database is away.")

    log.check = check
    for number in range(40):
        log.write("stdout", b"%d\n" % number + (b"y" * 99 + b"\n") * 2000)
        log.publish()
    log.check = lambda: None
    log.publish_rest()
    visible = texts(log)
    assert visible[0] == "0"
    assert visible[-2001] == "39"
    blocks = [*log._buffer._head, *log._buffer._tail]
    assert sum(len(block.lines.data) for block in blocks) <= HEAD_BYTES + TAIL_BYTES


@on_sqlite
def test_secrets_never_reach_the_database(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in one piece nor in two reads."""
    monkeypatch.setattr(service_logs, "_secrets", set())
    service_logs.configure(Settings(home=tmp_path, s3_secret_access_key="canary/Secret+key"))
    log = create_log(engine)
    log.write("stdout", b"with canary/Secret+key and canary/Sec")
    log.write("stdout", b"ret+key\n")
    log.write("stderr", b"Authorization: Bearer canary.token.123\n")
    log.publish()
    with read_session(engine) as session:
        data = "".join(session.scalars(select(LogChunkRow.data)))
    assert "canary" not in data
    assert texts(log)[0] == "with [redacted] and [redacted]"


@on_sqlite
def test_lines_about_the_attempt_are_forwarded(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From every thread of the attempt, redacted, with tracebacks; and those of no other."""
    monkeypatch.setattr(attempt_log, "PUBLISH_SECONDS", 0.05)
    service_logs.configure(Settings(home=tmp_path))
    logger = structlog.get_logger()
    attempt = create_attempt(engine)
    with (
        structlog.contextvars.bound_contextvars(job=attempt.job_id, attempt=attempt.number),
        AttemptLog(attempt, tmp_path, lambda: None) as log,
    ):
        logger.info("attempt started", key="dk_abcdefghijk")
        for _ in range(3):
            logger.warning("the store cannot be reached")
        try:
            raise RuntimeError("the disk broke")
        except RuntimeError:
            logger.exception("the supervisor failed")
        other_thread = threading.Thread(target=logger.info, args=("about nothing",))
        other_thread.start()
        other_thread.join()
        log.publish_rest()
    first, second, third, *trace = texts(log)
    assert first == "attempt started  key=dk_[redacted]"
    assert second == "warning: the store cannot be reached"
    assert third == "error: the supervisor failed"
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "RuntimeError: the disk broke"
    assert str(tmp_path) not in "".join(trace)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (1.2e9, "1.2 GB"), (9e15, "9,000.0 TB")],
)
def test_sizes_are_in_words(size: int, text: str) -> None:
    assert logs.format_size(size) == text
