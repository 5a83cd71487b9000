"""Lines out of whatever pieces a process writes."""

import random

from worker.logs.line_splitter import MAX_RAW_LINE_BYTES, LineSplitter, RawLines


def split(*pieces: bytes) -> list[RawLines]:
    splitter = LineSplitter()
    return [lines for piece in pieces for lines in splitter.feed(piece)] + splitter.close()


def texts(*pieces: bytes) -> list[bytes]:
    return [line for lines in split(*pieces) for line in lines.data.split(b"\n")[:-1]]


def test_lines_do_not_depend_on_the_pieces() -> None:
    data = b"one\r\ntwo\rthree\n\n 1%\r 2%\r\nend\r"
    lines = [b"one", b"two", b"three", b"", b" 1%", b" 2%", b"end"]
    generator = random.Random(0)
    for _ in range(200):
        cuts = sorted(generator.sample(range(1, len(data)), 5))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
        assert texts(*pieces) == lines


def test_last_line_needs_no_end() -> None:
    assert texts(b"one\ntw", b"o") == [b"one", b"two"]
    assert texts(b"one\n") == [b"one"]
    assert texts() == []


def test_endless_line_takes_bounded_memory() -> None:
    long_line, after = split(*[b"x" * 100_000] * 20, b"y\nshort\n")
    assert (len(long_line.data), long_line.size, long_line.line_count) == (
        MAX_RAW_LINE_BYTES + 1,
        2_000_002,
        1,
    )
    assert after == RawLines(b"short\n", 1)


def test_lines_are_split_into_parts() -> None:
    lines = RawLines(b"a\nb\nc\nd\ne\n", 5)
    assert list(lines.split(2)) == [
        RawLines(b"a\nb\n", 2),
        RawLines(b"c\nd\n", 2),
        RawLines(b"e\n", 1),
    ]
    assert list(lines.split(5)) == [lines]
