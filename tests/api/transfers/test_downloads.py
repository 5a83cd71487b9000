"""Downloads of a job's files: lists, ranges, checksums, reports."""

import base64
import hashlib
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.settings import Settings
from core.store.attempts import Attempt
from core.store.objects.store import Objects
from tests.api.builders import create_artifact, create_finished_job, sha256
from tests.api.conftest import KEY, bearer
from tests.builders import create_attempt, create_job, report_json, stored_keys

DATA = bytes(range(256)) * 4
NAME = "best.safetensors"


@pytest.fixture
def objects(settings: Settings) -> Objects:
    return Objects.from_settings(settings)


@pytest.fixture
def finished(engine: Engine, objects: Objects) -> Attempt:
    return create_finished_job(engine, objects)


def get(
    client: TestClient, finished: Attempt, name: str = NAME, method: str = "GET", **headers: str
) -> Any:
    return client.request(method, f"/v1/jobs/{finished.job_id}/artifacts/{name}", headers=headers)


def test_files_are_listed_by_name_with_their_urls(client: TestClient, finished: Attempt) -> None:
    page = client.get(f"/v1/jobs/{finished.job_id}/artifacts").json()
    assert [file["name"] for file in page["data"]] == [
        NAME,
        "report.html",
        "report.json",
        "report.md",
    ]
    assert (page["data"][0]["size"], page["data"][0]["sha256"]) == (1024, sha256(DATA))
    assert client.get(page["data"][0]["url"]).content == DATA
    only = client.get(f"/v1/jobs/{finished.job_id}/artifacts", params={"kind": "report"}).json()[
        "data"
    ]
    assert [file["name"] for file in only] == ["report.html", "report.json", "report.md"]


def test_files_are_listed_in_pages(client: TestClient, finished: Attempt) -> None:
    path = f"/v1/jobs/{finished.job_id}/artifacts"
    first = client.get(path, params={"limit": 1}).json()
    assert first["has_more"]
    second = client.get(path, params={"limit": 1, "after": first["next_cursor"]}).json()
    assert ([file["name"] for file in second["data"]], second["has_more"]) == (
        ["report.html"],
        True,
    )
    assert client.get(path, params={"after": "none"}).json()["code"] == "invalid_cursor"


def test_file_is_an_attachment_with_its_checksum(client: TestClient, finished: Attempt) -> None:
    response = get(client, finished)
    assert (response.status_code, response.content) == (200, DATA)
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert response.headers["ETag"] == f'"{sha256(DATA)}"'
    assert response.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{NAME}"'
    assert response.headers["Content-Length"] == "1024"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_head_has_the_headers_of_get(client: TestClient, finished: Attempt) -> None:
    complete, head = get(client, finished), get(client, finished, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    ignored = {"x-request-id"}
    assert {name: value for name, value in head.headers.items() if name not in ignored} == {
        name: value for name, value in complete.headers.items() if name not in ignored
    }


@pytest.mark.parametrize(
    ("byte_range", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=1000-9999", 1000, 1024),
        ("bytes=-9999", 0, 1024),
    ],
)
def test_range_is_a_206_with_its_bytes(
    client: TestClient, finished: Attempt, byte_range: str, start: int, end: int
) -> None:
    response = get(client, finished, Range=byte_range)
    assert (response.status_code, response.content) == (206, DATA[start:end])
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/1024"
    assert response.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("byte_range", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_range_beyond_the_end_is_a_416(
    client: TestClient, finished: Attempt, byte_range: str
) -> None:
    response = get(client, finished, Range=byte_range)
    assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */1024")
    assert response.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "byte_range",
    [
        "bytes=",
        "bytes=-",
        "bytes=5-1",
        "bytes=a-b",
        "chars=0-1",
        "bytes=0-1,5-6",
        "bytes=" + ",".join(["0-0"] * 500),
        "bytes=0-" + "9" * 30,
    ],
)
def test_other_than_a_single_range_gets_the_complete_file(
    client: TestClient, finished: Attempt, byte_range: str
) -> None:
    assert get(client, finished, Range=byte_range).status_code == 200


def test_range_of_another_version_gets_the_complete_file(
    client: TestClient, finished: Attempt
) -> None:
    assert get(client, finished, **{"Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200
    assert (
        get(client, finished, **{"Range": "bytes=0-9", "If-Range": f'"{sha256(DATA)}"'}).status_code
        == 206
    )


def test_unchanged_file_is_a_304(client: TestClient, finished: Attempt) -> None:
    etag = f'"{sha256(DATA)}"'
    for tags in (etag, f'W/{etag}, "other"', "*"):
        response = get(client, finished, **{"If-None-Match": tags})
        assert (response.status_code, response.content, response.headers["ETag"]) == (
            304,
            b"",
            etag,
        )
    assert get(client, finished, **{"If-None-Match": '"other"'}).status_code == 200


def report(client: TestClient, finished: Attempt, **options: Any) -> Any:
    return client.get(f"/v1/jobs/{finished.job_id}/report", **options)


def test_report_is_inline_json(client: TestClient, finished: Attempt) -> None:
    response = report(client, finished)
    assert (response.headers["Content-Type"], response.json()) == (
        "application/json",
        report_json(),
    )
    assert "Content-Disposition" not in response.headers
    assert (
        report(client, finished, headers={"If-None-Match": response.headers["ETag"]}).status_code
        == 304
    )


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/markdown", "text/markdown"),
        ("text/html", "text/html"),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "text/html",
        ),  # a browser's
        ("text/*", "text/html"),
        ("text/html;q=0.2, text/markdown;q=0.9", "text/markdown"),
        ("text/html;q=0, */*", "application/json"),
        ("image/png", "application/json"),
        ("text/html;q=nonsense", "application/json"),
        ("", "application/json"),
    ],
)
def test_report_format_follows_the_accept_header(
    client: TestClient, finished: Attempt, accept: str, kind: str
) -> None:
    response = report(client, finished, headers={"Accept": accept})
    assert (response.status_code, response.headers["Content-Type"].split(";")[0]) == (200, kind)
    assert response.headers["Vary"] == "Accept"


def test_format_parameter_overrides_the_accept_header(
    client: TestClient, finished: Attempt
) -> None:
    response = report(client, finished, params={"format": "md"}, headers={"Accept": "text/html"})
    assert (response.headers["Content-Type"], response.text) == (
        "text/markdown; charset=utf-8",
        "# Report\n",
    )
    assert report(client, finished, params={"format": "pdf"}).status_code == 422


def test_missing_report_is_a_404_with_a_code(client: TestClient, engine: Engine) -> None:
    response = client.get(f"/v1/jobs/{create_job(engine).id}/report")
    assert (response.status_code, response.json()["code"]) == (404, "no_report_yet")
    assert "queued" in response.json()["detail"]


def test_checkpoints_are_listed_alone(client: TestClient, engine: Engine, objects: Objects) -> None:
    attempt = create_attempt(engine)
    create_artifact(
        engine, objects, attempt, "checkpoint-5.safetensors", b"5", "checkpoint", step=5
    )
    create_artifact(engine, objects, attempt, NAME, DATA)
    checkpoints = client.get(f"/v1/jobs/{attempt.job_id}/checkpoints").json()["data"]
    assert [(file["name"], file["step"]) for file in checkpoints] == [
        ("checkpoint-5.safetensors", 5)
    ]


@pytest.mark.parametrize(
    "name",
    ["none", "..%2f..%2fdistill.db", "%2e%2e", "..;", "%00", "report.json%00", "x" * 3000, "#"],
)
def test_unknown_file_is_a_404(client: TestClient, finished: Attempt, name: str) -> None:
    """Whatever its characters and its length."""
    assert get(client, finished, name).status_code == 404


def test_svg_is_an_attachment_that_runs_no_script(
    client: TestClient, engine: Engine, objects: Objects
) -> None:
    attempt = create_attempt(engine)
    create_artifact(
        engine, objects, attempt, "plot.svg", b"<svg onload=alert(1)>", media_type="image/svg+xml"
    )
    response = get(client, attempt, "plot.svg")
    assert response.headers["Content-Disposition"] == 'attachment; filename="plot.svg"'
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_missing_object_is_a_500_without_its_key(
    client: TestClient, finished: Attempt, objects: Objects
) -> None:
    for key in stored_keys(objects, "jobs"):
        objects.delete(key)
    response = get(client, finished)
    assert (response.status_code, response.json()["code"]) == (500, "corrupt_object")
    assert "jobs/" not in response.json()["detail"]


def test_store_with_signed_urls_serves_the_file(
    s3: dict[str, Any], settings: Settings, engine: Engine
) -> None:
    """HTML is never redirected, and keeps its Content-Security-Policy."""
    setup = settings.model_copy(update={**s3, "s3_public_endpoint": s3["s3_endpoint"]})
    finished = create_finished_job(engine, Objects.from_settings(setup))
    with TestClient(create_app(setup), headers=bearer(KEY), follow_redirects=False) as client:
        response = get(client, finished)
        assert response.status_code == 307
        assert "Signature=" in response.headers["Location"]
        assert response.headers["Location"].startswith(s3["s3_endpoint"])
        direct = client.get(f"/v1/jobs/{finished.job_id}/artifacts/{NAME}?direct=true")
        assert (direct.status_code, direct.content) == (200, DATA)
        for address in ("report?format=html", "artifacts/report.html"):
            page = client.get(f"/v1/jobs/{finished.job_id}/{address}")
            assert (page.status_code, page.headers["Content-Type"]) == (
                200,
                "text/html; charset=utf-8",
            )
            assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
