"""No secret, no control character, no path of this machine, and no endless line in a log."""

import os
import sys
from pathlib import Path

import pytest

from core import logs
from core.settings import Settings
from worker.logs.line_cleaner import MAX_LINE_BYTES, LineCleaner
from worker.logs.line_splitter import MAX_RAW_LINE_BYTES

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def cleaner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LineCleaner:
    monkeypatch.setattr(logs, "_secrets", set())
    database_url = f"postgresql://distill:{SECRET}@db/distill"
    monkeypatch.setenv("SOME_TOKEN", "token-of-the-environment")
    logs.configure(Settings(database_url=database_url))
    return LineCleaner(tmp_path / "jobs" / "job_1-1")


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        "token-of-the-environment",
        "dk_abcdefghijklmnop",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
    ],
)
def test_secrets_are_struck_out(cleaner: LineCleaner, secret: str) -> None:
    text = cleaner.clean(f"before {secret} after".encode())
    assert secret not in text
    assert text.startswith("before ")
    assert text.endswith(" after")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [redacted]"),
        ("GET https://me:hunter22@host/x", "GET https://me:[redacted]@host/x"),
        (
            "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key = [redacted]",
        ),
        ("AWS_SESSION_TOKEN='FwoGZXIvYXdzEJr//////////wEaDA'", "AWS_SESSION_TOKEN='[redacted]'"),
        ("\x1b[31mred\x1b[0m and \x1b]0;title\x07plain", "red and plain"),
        ("tab\tbell\x07 null\0 escape\x1b", "tab\tbell␇ null␀ escape␛"),
        ("right\u202eto left", "right\\u202eto left"),
        ("deleted\x7f c1\x9b31m", "deleted␡ c1\\u009b31m"),
        ("robust accuracy L∞ 8/255 – 50 %", "robust accuracy L∞ 8/255 – 50 %"),
    ],
)
def test_line_is_shown_as(cleaner: LineCleaner, line: str, text: str) -> None:
    assert cleaner.clean(line.encode()) == text


def test_bytes_that_are_no_text_are_replaced(cleaner: LineCleaner) -> None:
    assert cleaner.clean(b"a\xff\xfeb") == "a\ufffd\ufffdb"


def test_paths_are_relative_to_program_and_folder(cleaner: LineCleaner, tmp_path: Path) -> None:
    module = Path(os.__file__)
    line = f'  File "{module}", line 1, in {tmp_path}/jobs/job_1-1/output/x'
    assert cleaner.clean(line.encode()) == f'  File "{module.name}", line 1, in output/x'
    assert sys.prefix not in cleaner.clean(f"{sys.prefix}/lib/secret/place".encode())
    assert cleaner.clean(b"no file /srv/data/private/images.npz") == "no file images.npz"


def test_long_line_is_cut_and_the_cut_is_counted(cleaner: LineCleaner) -> None:
    assert cleaner.clean(b"x" * MAX_LINE_BYTES) == "x" * MAX_LINE_BYTES
    text = "x" * MAX_LINE_BYTES
    assert cleaner.clean(b"x" * 5096) == f"{text} … 1,000 bytes cut"
    assert cleaner.clean(b"x" * 20_000) == f"{text} … 15,904 bytes cut"
    assert cleaner.clean(b"x" * MAX_RAW_LINE_BYTES, 10**9) == f"{text} … 1,000,004,096 bytes cut"
    assert len(cleaner.clean("∞".encode() * 20_000)) < MAX_LINE_BYTES


@pytest.mark.parametrize("position", range(MAX_RAW_LINE_BYTES - 40, MAX_RAW_LINE_BYTES + 2, 7))
def test_no_part_of_a_secret_is_left_by_a_cut(cleaner: LineCleaner, position: int) -> None:
    """Also where what comes before it is shortened, so that the end of the line moves forward."""
    redacted = b"dk_" + b"a" * 5000 + b" "
    line = (redacted + b"." * position)[:position] + SECRET.encode() + b"." * 9000
    assert SECRET[:8] not in cleaner.clean(line)
    assert SECRET[:8] not in cleaner.clean(line[:MAX_RAW_LINE_BYTES], 10**6)
