"""Requests about multipart uploads have the signature that botocore makes."""

import urllib.parse
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from core.settings import Settings
from core.store.objects.multipart import EMPTY_BODY_SHA256, Bucket, BucketUnavailable
from core.store.objects.store import Objects

TIME = datetime(2026, 1, 31, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.eu-west-1.amazonaws.com/bucket?prefix=some%2Fprefix%2F&uploads=",
        "http://127.0.0.1:9000/bucket/some/a%20b.bin?uploadId=x%2By",
    ],
)
def test_a_request_has_the_signature_of_botocore(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: TIME.replace(tzinfo=None))
    expected = AWSRequest("DELETE", url, headers={"x-amz-content-sha256": EMPTY_BODY_SHA256})
    botocore.auth.S3SigV4Auth(Credentials("id", "secret"), "s3", "eu-west-1").add_auth(expected)
    bucket = Bucket(
        url.split("/bucket", maxsplit=1)[0], "bucket", "some/prefix", "eu-west-1", "id", "secret"
    )
    actual = bucket.sign("DELETE", url, TIME)
    assert actual["Authorization"] == expected.headers["Authorization"]
    assert actual["host"] == urllib.parse.urlsplit(url).netloc


def test_a_store_that_is_down_or_refuses_is_unavailable(s3: dict[str, Any]) -> None:
    for wrong in ({"s3_endpoint": "http://127.0.0.1:1"}, {"s3_secret_access_key": "wrong"}):
        bucket = Objects.from_settings(Settings(**{**s3, **wrong})).bucket()
        assert bucket is not None
        with pytest.raises(BucketUnavailable):
            list(bucket.list_uploads())


def test_only_a_bucket_with_credentials_is_listed(s3: dict[str, Any]) -> None:
    assert Objects("memory:///").bucket() is None
    assert Objects.from_settings(Settings(**{**s3, "s3_access_key_id": ""})).bucket() is None
    bucket = Objects.from_settings(Settings(**s3)).bucket()
    assert bucket is not None
    assert list(bucket.list_uploads()) == []
