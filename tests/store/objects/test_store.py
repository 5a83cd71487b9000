"""Stored bytes are read back unchanged, or not at all."""

import hashlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from core.errors import CorruptObject, NotFound, RangeUnsatisfiable, TooLarge, Unavailable
from core.settings import Settings
from core.store.objects.store import (
    Objects,
    artifact_key,
    checkpoint_key,
    upload_key,
)
from tests.builders import stored_keys
from tests.servers import S3

PART = 8 * 2**20
KEY = "jobs/job_1/1/artifacts/report.json"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(objects: Objects, data: bytes, key: str = KEY) -> tuple[int, str]:
    return objects.put_stream(key, [data], len(data))


def read(objects: Objects, key: str = KEY, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(objects.open(key, start, end))


def test_bytes_are_read_back_unchanged(objects: Objects, tmp_path: Path) -> None:
    for data in (b"", b"a", os.urandom(2 * PART + 7)):
        source = tmp_path / "source"
        target = tmp_path / "target"
        source.write_bytes(data)
        assert objects.put_file(KEY, source) == (len(data), sha256(data))
        assert objects.size(KEY) == len(data)
        assert read(objects) == data
        objects.fetch(KEY, target, len(data), sha256(data))
        assert target.read_bytes() == data
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
            "source",
            "target",
        ]


def test_a_later_object_replaces_an_earlier_one(objects: Objects) -> None:
    put(objects, b"first")
    put(objects, b"second")
    assert read(objects) == b"second"
    assert stored_keys(objects, "jobs") == [KEY]


def test_ranges_are_read(objects: Objects) -> None:
    data = os.urandom(PART + 100)
    put(objects, data)
    for start, end in (
        (0, 1),
        (5, 10),
        (PART - 3, PART + 3),
        (PART + 99, None),
        (7, None),
        (10, 10**12),
        (9, 9),
    ):
        assert read(objects, start=start, end=end) == data[start:end]
    for start, end in ((len(data), None), (10**15, 10**16), (-1, 5), (10, 5)):
        with pytest.raises(RangeUnsatisfiable):
            objects.open(KEY, start, end)


def test_a_changed_object_is_not_fetched(objects: Objects, tmp_path: Path) -> None:
    data = os.urandom(1000)
    target = tmp_path / "target"
    flipped = data[:500] + bytes([data[500] ^ 1]) + data[501:]
    for wrong in (flipped, data[:-1], data[:500], b"", data + b"x", os.urandom(1000)):
        put(objects, wrong)
        with pytest.raises(CorruptObject):
            objects.fetch(KEY, target, 1000, sha256(data))
    objects.delete(KEY)
    with pytest.raises(CorruptObject, match="gone"):
        objects.fetch(KEY, target, 1000, sha256(data))
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_stream_over_the_limit_stores_nothing(objects: Objects) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 2**20

    with pytest.raises(TooLarge):
        objects.put_stream(KEY, endless(), 20 * 2**20)
    assert stored_keys(objects, "jobs") == []
    assert objects.put_stream(KEY, [b"12345"], 5) == (5, sha256(b"12345"))


def test_a_failing_stream_leaves_the_earlier_object(objects: Objects) -> None:
    class StreamError(Exception):
        pass

    def failing() -> Iterator[bytes]:
        yield b"x" * (2 * PART)
        raise StreamError

    put(objects, b"earlier")
    for key in (KEY, "jobs/job_2/new"):
        with pytest.raises(StreamError):
            objects.put_stream(key, failing(), 10**9)
    assert stored_keys(objects, "jobs") == [KEY]
    assert read(objects) == b"earlier"


def test_failed_uploads_leave_no_parts(s3_server: S3, s3: dict[str, Any], tmp_path: Path) -> None:
    folder = Objects(f"file://{tmp_path}/objects")
    bucket = Objects.from_settings(Settings(**s3))
    for objects in (folder, bucket):
        with pytest.raises(TooLarge):
            objects.put_stream(KEY, [b"x" * PART] * 3, 2 * PART)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert s3_server.unfinished_uploads(urlsplit(s3["objects_url"]).netloc) == set()


def test_a_missing_object_is_not_found_and_can_be_deleted(objects: Objects) -> None:
    put(objects, b"x")
    assert objects.exists(KEY)
    objects.delete(KEY)
    objects.delete(KEY)
    assert not objects.exists(KEY)
    for call in (objects.size, objects.open):
        with pytest.raises(NotFound):
            call(KEY)


def test_keys_outside_the_store_are_not_found(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("canary")
    for key in (
        "../canary",
        "jobs/../../canary",
        str(tmp_path / "canary"),
        "",
        "a//b",
        "a\0b",
        "a/./../b",
        "a%2f..%2fb",
        "a b",
        "a/",
    ):
        for call in (
            objects.size,
            objects.open,
            objects.delete,
            lambda key: objects.put_stream(key, [b"x"], 1),
        ):
            with pytest.raises(NotFound):
                call(key)
    assert (tmp_path / "canary").read_text() == "canary"
    assert stored_keys(objects, "jobs") == []


def test_keys_contain_their_attempt() -> None:
    assert checkpoint_key("job_1", 2, "a") != checkpoint_key("job_1", 3, "a")
    keys = [
        checkpoint_key("job_1", 2, "a"),
        artifact_key("job_1", 2, "a"),
        upload_key("mdl_1"),
        upload_key("ds_1"),
    ]
    assert len(set(keys)) == len(keys)
    assert artifact_key("job_1", 2, "report.json").endswith("/report.json")


FORKING = """
import os, sys
from core.store.objects.store import Objects

def in_child(call):
    child = os.fork()
    if child == 0:
        try:
            call()
        except RuntimeError:
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

objects = Objects(sys.argv[1])
before = in_child(lambda: objects.put_stream("a", [b"x"], 1))
size = objects.size("a")
print(before, size, in_child(lambda: objects.size("a")))
"""


def test_use_after_a_fork_is_an_error_not_a_hang(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKING, f"file://{tmp_path}/objects"]
    assert subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=True
    ).stdout.split() == ["0", "1", "3"]


# -- signed URLs


def test_a_signed_url_gives_the_bytes_as_a_download(s3_server: S3, s3: dict[str, Any]) -> None:
    objects = Objects.from_settings(Settings(**s3))
    put(objects, b"<script>alert(1)</script>")
    url = objects.signed_url(KEY, 60)
    assert url is not None
    with s3_server.without_signatures(), urllib.request.urlopen(url, timeout=10) as response:
        assert response.read() == b"<script>alert(1)</script>"
        assert response.headers["Content-Disposition"] == "attachment"
    assert urlsplit(url).path.endswith("/report.json")


def test_a_signed_url_has_the_signature_of_botocore(
    s3: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = Objects.from_settings(Settings(**s3)).signed_url(KEY, 60)
    assert url is not None
    query = parse_qs(urlsplit(url).query)
    time = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: time)
    credentials = Credentials(s3["s3_access_key_id"], s3["s3_secret_access_key"])
    request = AWSRequest("GET", url.split("?")[0])
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", s3["s3_region"], expires=60).add_auth(request)
    assert parse_qs(urlsplit(request.url).query)["X-Amz-Signature"] == query["X-Amz-Signature"]


def test_only_s3_with_a_public_endpoint_signs_urls(s3: dict[str, Any], tmp_path: Path) -> None:
    assert (
        Objects.from_settings(Settings(**{**s3, "s3_public_endpoint": ""})).signed_url(KEY, 60)
        is None
    )
    assert Objects(f"file://{tmp_path}/objects").signed_url(KEY, 60) is None
    assert Objects("memory:///").signed_url(KEY, 60) is None


# -- stores that are down


def test_a_store_that_is_down_or_refuses_is_unavailable(s3: dict[str, Any], tmp_path: Path) -> None:
    wrong = Objects.from_settings(Settings(**{**s3, "s3_secret_access_key": "wrong"}))
    down = Objects.from_settings(Settings(**{**s3, "s3_endpoint": "http://127.0.0.1:1"}))
    for objects in (wrong, down):
        for call in (
            objects.size,
            objects.delete,
            lambda key: list(objects.open(key)),  # noqa: B023
            lambda key: put(objects, b"x", key),  # noqa: B023
        ):
            with pytest.raises(Unavailable):
                call(KEY)
        with pytest.raises(Unavailable):
            objects.fetch(KEY, tmp_path / "target", 1, sha256(b"x"))


def test_unsupported_stores_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="ftp"):
        Objects("ftp://somewhere")
