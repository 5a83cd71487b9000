"""A process is never kept waiting by its log, and nothing that it wrote is missed."""

import subprocess
import sys
from collections.abc import Callable

import psutil
from sqlalchemy import Engine

from core.store.logs import Stream
from tests.worker.logs.builders import create_log, read
from worker.logs.pipe_reader import PipeReader

MIB = 2**20
FLOOD_BYTES = 256 * MIB
FLOOD = f"""
import os
line = b"x" * 99 + b"\\n"
block = line * 1000
for _ in range({FLOOD_BYTES} // len(block)):
    os.write(1, block)
os.write(2, b"the end\\n")
"""


def run(program: str, sink: Callable[[Stream, bytes], None]) -> PipeReader:
    """Run a Python program to its end, and read what it writes."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    reader = PipeReader({"stdout": process.stdout, "stderr": process.stderr}, sink)
    reader.start()
    process.wait(120)
    reader.finish()
    return reader


def test_everything_is_read_in_order() -> None:
    received: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
    ends: list[Stream] = []

    def sink(stream: Stream, data: bytes) -> None:
        received[stream] += data
        if not data:
            ends.append(stream)

    program = "import sys; print('out'); sys.stderr.write('first\\nlast words')"
    reader = run(program, sink)
    assert received == {"stdout": b"out\n", "stderr": b"first\nlast words"}
    assert sorted(ends) == ["stderr", "stdout"]
    assert reader.last_error_line() == "last words"


def test_flood_takes_bounded_memory(engine: Engine) -> None:
    """The log begins with its first lines and ends with its last ones."""
    log = create_log(engine)
    before = psutil.Process().memory_info().rss
    peak = before
    reads = 0

    def sink(stream: Stream, data: bytes) -> None:
        nonlocal peak, reads
        log.write(stream, data)
        reads += 1
        if reads % 500 == 0:
            log.publish()
            peak = max(peak, psutil.Process().memory_info().rss)

    run(FLOOD, sink)
    log.publish_rest()
    lines = read(log)
    assert peak - before < 64 * MIB
    assert [line.seq for line in lines[:10]] == list(range(1, 11))
    assert (lines[-1].stream, lines[-1].text) == ("stderr", "the end")
    assert lines[-1].seq == FLOOD_BYTES // 100_000 * 1000 + 1
    assert sum(len(line.text) for line in lines) < 4 * MIB


def test_process_that_outlives_the_trainer_does_not_block() -> None:
    """It holds the pipe open, and writes on and on."""
    child = "import time\\nfor _ in range(300): print('alive', flush=True); time.sleep(0.1)"
    program = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', '''{child}'''], start_new_session=True); "
        "print('child', child.pid, flush=True)"
    )
    received = b""

    def sink(stream: Stream, data: bytes) -> None:
        nonlocal received
        received += data

    reader = run(program, sink)
    assert not reader.is_alive()
    (pid,) = [int(line.split()[1]) for line in received.splitlines() if line.startswith(b"child")]
    psutil.Process(pid).kill()


def test_broken_sink_does_not_stop_the_reading() -> None:
    calls = 0

    def sink(stream: Stream, data: bytes) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("no")

    run("import os\nfor _ in range(100): os.write(1, b'x' * 65536)", sink)
    assert calls > 50
