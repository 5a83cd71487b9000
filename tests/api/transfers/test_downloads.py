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
from tests.api.builders import a_finished_job, an_artifact, sha256
from tests.api.conftest import KEY, bearer
from tests.builders import create_attempt, create_job, report_json, stored_keys

DATA = bytes(range(256)) * 4
NAME = "best.safetensors"


@pytest.fixture
def objects(settings: Settings) -> Objects:
    return Objects.from_settings(settings)


@pytest.fixture
def finished(engine: Engine, objects: Objects) -> Attempt:
    return a_finished_job(engine, objects)


def get(
    client: TestClient, finished: Attempt, name: str = NAME, method: str = "GET", **headers: str
) -> Any:
    return client.request(method, f"/v1/jobs/{finished.job_id}/artifacts/{name}", headers=headers)


def test_files_are_listed_by_name_with_their_addresses(
    client: TestClient, finished: Attempt
) -> None:
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


def test_lists_of_files_have_pages(client: TestClient, finished: Attempt) -> None:
    path = f"/v1/jobs/{finished.job_id}/artifacts"
    first = client.get(path, params={"limit": 1}).json()
    assert first["has_more"]
    second = client.get(path, params={"limit": 1, "after": first["next_cursor"]}).json()
    assert ([file["name"] for file in second["data"]], second["has_more"]) == (
        ["report.html"],
        True,
    )
    assert client.get(path, params={"after": "none"}).json()["code"] == "invalid_cursor"


def test_a_file_comes_whole_with_its_checksum_as_an_attachment(
    client: TestClient, finished: Attempt
) -> None:
    answer = get(client, finished)
    assert (answer.status_code, answer.content) == (200, DATA)
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert answer.headers["ETag"] == f'"{sha256(DATA)}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{NAME}"'
    assert answer.headers["Content-Length"] == "1024"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_head_tells_everything_but_the_bytes(client: TestClient, finished: Attempt) -> None:
    whole, head = get(client, finished), get(client, finished, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    ignored = {"x-request-id"}
    assert {name: value for name, value in head.headers.items() if name not in ignored} == {
        name: value for name, value in whole.headers.items() if name not in ignored
    }


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=1000-9999", 1000, 1024),
        ("bytes=-9999", 0, 1024),
    ],
)
def test_a_range_is_sent_alone(
    client: TestClient, finished: Attempt, asked: str, start: int, end: int
) -> None:
    answer = get(client, finished, Range=asked)
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/1024"
    assert answer.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_end_is_a_416(client: TestClient, finished: Attempt, asked: str) -> None:
    answer = get(client, finished, Range=asked)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */1024")
    assert answer.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "asked",
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
def test_what_is_no_single_range_is_answered_with_everything(
    client: TestClient, finished: Attempt, asked: str
) -> None:
    assert get(client, finished, Range=asked).status_code == 200


def test_a_range_of_another_version_is_answered_with_everything(
    client: TestClient, finished: Attempt
) -> None:
    assert get(client, finished, **{"Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200
    assert (
        get(client, finished, **{"Range": "bytes=0-9", "If-Range": f'"{sha256(DATA)}"'}).status_code
        == 206
    )


def test_a_file_that_the_caller_has_is_not_sent_again(
    client: TestClient, finished: Attempt
) -> None:
    etag = f'"{sha256(DATA)}"'
    for given in (etag, f'W/{etag}, "other"', "*"):
        answer = get(client, finished, **{"If-None-Match": given})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert get(client, finished, **{"If-None-Match": '"other"'}).status_code == 200


def report(client: TestClient, finished: Attempt, **options: Any) -> Any:
    return client.get(f"/v1/jobs/{finished.job_id}/report", **options)


def test_the_report_is_json_to_be_read_on_the_spot(client: TestClient, finished: Attempt) -> None:
    answer = report(client, finished)
    assert (answer.headers["Content-Type"], answer.json()) == ("application/json", report_json())
    assert "Content-Disposition" not in answer.headers
    assert (
        report(client, finished, headers={"If-None-Match": answer.headers["ETag"]}).status_code
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
def test_the_report_has_the_form_that_is_asked_for(
    client: TestClient, finished: Attempt, accept: str, kind: str
) -> None:
    answer = report(client, finished, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, kind)
    assert answer.headers["Vary"] == "Accept"


def test_a_format_in_the_address_wins_over_accept(client: TestClient, finished: Attempt) -> None:
    answer = report(client, finished, params={"format": "md"}, headers={"Accept": "text/html"})
    assert (answer.headers["Content-Type"], answer.text) == (
        "text/markdown; charset=utf-8",
        "# Report\n",
    )
    assert report(client, finished, params={"format": "pdf"}).status_code == 422


def test_there_is_no_report_before_it_is_made(client: TestClient, engine: Engine) -> None:
    answer = client.get(f"/v1/jobs/{create_job(engine).id}/report")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_report_yet")
    assert "queued" in answer.json()["detail"]


def test_checkpoints_are_listed_alone(client: TestClient, engine: Engine, objects: Objects) -> None:
    attempt = create_attempt(engine)
    an_artifact(engine, objects, attempt, "checkpoint-5.safetensors", b"5", "checkpoint", step=5)
    an_artifact(engine, objects, attempt, NAME, DATA)
    found = client.get(f"/v1/jobs/{attempt.job_id}/checkpoints").json()["data"]
    assert [(file["name"], file["step"]) for file in found] == [("checkpoint-5.safetensors", 5)]


@pytest.mark.parametrize(
    "name",
    ["none", "..%2f..%2fdistill.db", "%2e%2e", "..;", "%00", "report.json%00", "x" * 3000, "#"],
)
def test_a_file_that_is_not_there_is_a_404_however_it_is_written(
    client: TestClient, finished: Attempt, name: str
) -> None:
    assert get(client, finished, name).status_code == 404


def test_an_html_artifact_is_an_attachment_under_a_safe_name(
    client: TestClient, engine: Engine, objects: Objects
) -> None:
    attempt = create_attempt(engine)
    an_artifact(
        engine, objects, attempt, "plot.svg", b"<svg onload=alert(1)>", media_type="image/svg+xml"
    )
    answer = get(client, attempt, "plot.svg")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="plot.svg"'
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_whose_bytes_are_gone_is_the_services_fault_and_names_no_key(
    client: TestClient, finished: Attempt, objects: Objects
) -> None:
    for key in stored_keys(objects, "jobs"):
        objects.delete(key)
    answer = get(client, finished)
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_object")
    assert "jobs/" not in answer.json()["detail"]


def test_a_store_that_can_sign_serves_the_file_itself(
    s3: dict[str, Any], settings: Settings, engine: Engine
) -> None:
    setup = settings.model_copy(update={**s3, "s3_public_endpoint": s3["s3_endpoint"]})
    finished = a_finished_job(engine, Objects.from_settings(setup))
    with TestClient(create_app(setup), headers=bearer(KEY), follow_redirects=False) as client:
        answer = get(client, finished)
        assert answer.status_code == 307
        assert "Signature=" in answer.headers["Location"]
        assert answer.headers["Location"].startswith(s3["s3_endpoint"])
        direct = client.get(f"/v1/jobs/{finished.job_id}/artifacts/{NAME}?direct=true")
        assert (direct.status_code, direct.content) == (200, DATA)
        for address in ("report?format=html", "artifacts/report.html"):
            page = client.get(f"/v1/jobs/{finished.job_id}/{address}")
            assert (page.status_code, page.headers["Content-Type"]) == (
                200,
                "text/html; charset=utf-8",
            )
            assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
