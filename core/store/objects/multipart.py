"""Uploads to S3 that were begun and never finished: their parts are in no list of objects, and are paid for.

obstore has no such requests, so they are signed here: AWS Signature Version 4, in headers, for requests without a body.
"""

import hashlib
import hmac
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from urllib.parse import quote, urlencode, urlsplit

REQUEST_SECONDS = 30.0
EMPTY = hashlib.sha256(b"").hexdigest()


class BucketUnavailable(Exception):
    """The store does not answer, or not with what was asked for."""


@dataclass(frozen=True)
class MultipartUpload:
    key: str
    upload_id: str


@dataclass(frozen=True)
class Bucket:
    """A bucket at ``endpoint``, addressed by its path, and who asks for it. Keys are those within the ``folder``, if any."""

    endpoint: str
    name: str
    folder: str
    region: str
    access_key_id: str
    secret_access_key: str

    def list_uploads(self) -> Iterator[MultipartUpload]:
        """Every unfinished upload. Raises NoAnswer."""
        before = f"{self.folder}/" if self.folder else ""
        query = {"uploads": "", "prefix": before}
        while True:
            page = _parsed(self._send("GET", "", query))
            for upload in page.iterfind("{*}Upload"):
                yield MultipartUpload(
                    upload.findtext("{*}Key", "").removeprefix(before),
                    upload.findtext("{*}UploadId", ""),
                )
            if page.findtext("{*}IsTruncated") != "true":
                return
            query |= {
                "key-marker": page.findtext("{*}NextKeyMarker", ""),
                "upload-id-marker": page.findtext("{*}NextUploadIdMarker", ""),
            }

    def abort(self, upload: MultipartUpload) -> None:
        """Its parts are gone; also where it is not there any more. Raises NoAnswer."""
        self._send(
            "DELETE",
            f"/{self.folder}/{upload.key}" if self.folder else f"/{upload.key}",
            {"uploadId": upload.upload_id},
        )

    def _send(self, method: str, path: str, query: dict[str, str]) -> bytes:
        url = f"{self.endpoint}/{self.name}{quote(path)}?{_canonical(query)}"
        headers = self.sign(method, url, datetime.now(UTC))
        request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404 and method == "DELETE":
                return b""
            raise BucketUnavailable(f"The object store answered {error.code}.") from error
        except (OSError, HTTPException) as error:
            raise BucketUnavailable(f"The object store does not answer: {error}") from error

    def sign(self, method: str, url: str, when: datetime) -> dict[str, str]:
        """The headers of a request without a body, with its signature."""
        parts, at = urlsplit(url), when.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/{self.region}/s3/aws4_request"
        headers = {"host": parts.netloc, "x-amz-content-sha256": EMPTY, "x-amz-date": at}
        names, lines = (
            ";".join(headers),
            "".join(f"{name}:{value}\n" for name, value in headers.items()),
        )
        canonical = "\n".join((method, parts.path, parts.query, lines, names, EMPTY))
        to_sign = "\n".join(
            ("AWS4-HMAC-SHA256", at, scope, hashlib.sha256(canonical.encode()).hexdigest())
        )
        secret = f"AWS4{self.secret_access_key}".encode()
        for part in (*scope.split("/"), to_sign):
            secret = hmac.digest(secret, part.encode(), "sha256")
        credential = f"Credential={self.access_key_id}/{scope}"
        authorization = (
            f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={secret.hex()}"
        )
        return headers | {"Authorization": authorization}


def _parsed(text: bytes) -> ET.Element:
    try:
        return ET.fromstring(text)  # noqa: S314 - of a store that the operator chose
    except ET.ParseError as error:
        raise BucketUnavailable(f"The object store's answer cannot be read: {error}.") from error


def _canonical(query: dict[str, str]) -> str:
    return urlencode(sorted(query.items()), quote_via=quote, safe="")
