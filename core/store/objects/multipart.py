"""Unfinished multipart uploads in S3: no list of objects shows their parts, but they are paid for.

obstore has no requests for them, so they are sent and signed here, with AWS Signature Version 4 in
the headers of requests without a body.
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
EMPTY_BODY_SHA256 = hashlib.sha256(b"").hexdigest()


class BucketUnavailable(Exception):
    """The store does not answer, or its answer is not what the protocol says."""


@dataclass(frozen=True)
class MultipartUpload:
    """An unfinished upload. ``key`` is relative to the bucket's folder."""

    key: str
    upload_id: str


@dataclass(frozen=True)
class Bucket:
    """A bucket at ``endpoint``, addressed in path style, and the credentials for it.

    Keys are relative to ``folder``, which may be empty.
    """

    endpoint: str
    name: str
    folder: str
    region: str
    access_key_id: str
    secret_access_key: str

    def list_uploads(self) -> Iterator[MultipartUpload]:
        """Yield every unfinished upload. Raises BucketUnavailable."""
        prefix = f"{self.folder}/" if self.folder else ""
        query = {"uploads": "", "prefix": prefix}
        while True:
            page = _parse_xml(self._send("GET", "", query))
            for upload in page.iterfind("{*}Upload"):
                yield MultipartUpload(
                    upload.findtext("{*}Key", "").removeprefix(prefix),
                    upload.findtext("{*}UploadId", ""),
                )
            if page.findtext("{*}IsTruncated") != "true":
                return
            query |= {
                "key-marker": page.findtext("{*}NextKeyMarker", ""),
                "upload-id-marker": page.findtext("{*}NextUploadIdMarker", ""),
            }

    def abort(self, upload: MultipartUpload) -> None:
        """Delete the upload's parts, if it still exists. Raises BucketUnavailable."""
        path = f"/{self.folder}/{upload.key}" if self.folder else f"/{upload.key}"
        self._send("DELETE", path, {"uploadId": upload.upload_id})

    def _send(self, method: str, path: str, query: dict[str, str]) -> bytes:
        url = f"{self.endpoint}/{self.name}{quote(path)}?{_canonical_query(query)}"
        headers = self.sign(method, url, datetime.now(UTC))
        request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            if error.code == 404 and method == "DELETE":
                return b""
            raise BucketUnavailable(f"The object store answered {error.code}.") from error
        except (OSError, HTTPException) as error:
            raise BucketUnavailable(f"The object store does not answer: {error}") from error

    def sign(self, method: str, url: str, time: datetime) -> dict[str, str]:
        """Return the headers, signature included, of a request without a body.

        The names are those of AWS Signature Version 4.
        """
        parts = urlsplit(url)
        timestamp = time.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{timestamp[:8]}/{self.region}/s3/aws4_request"
        headers = {
            "host": parts.netloc,
            "x-amz-content-sha256": EMPTY_BODY_SHA256,
            "x-amz-date": timestamp,
        }
        signed_headers = ";".join(headers)
        canonical_headers = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical_request = "\n".join(
            (
                method,
                parts.path,
                parts.query,
                canonical_headers,
                signed_headers,
                EMPTY_BODY_SHA256,
            )
        )
        request_hash = hashlib.sha256(canonical_request.encode()).hexdigest()
        string_to_sign = "\n".join(("AWS4-HMAC-SHA256", timestamp, scope, request_hash))
        signing_key = f"AWS4{self.secret_access_key}".encode()
        for part in scope.split("/"):
            signing_key = hmac.digest(signing_key, part.encode(), "sha256")
        signature = hmac.digest(signing_key, string_to_sign.encode(), "sha256")
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key_id}/{scope}, "
            f"SignedHeaders={signed_headers}, Signature={signature.hex()}"
        )
        return headers | {"Authorization": authorization}


def _parse_xml(text: bytes) -> ET.Element:
    try:
        return ET.fromstring(text)  # noqa: S314 - the answer of a store that the operator chose
    except ET.ParseError as error:
        raise BucketUnavailable(f"The object store's answer is not XML: {error}.") from error


def _canonical_query(query: dict[str, str]) -> str:
    return urlencode(sorted(query.items()), quote_via=quote, safe="")
