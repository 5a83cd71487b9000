"""S1: no id, name or key makes the service read or write a file outside its store."""

import re
from typing import Any

import pytest

from core.errors import JobFailed
from tests.api.builders import create_artifact, create_finished_job
from tests.builders import distillation_body, training_body
from tests.intruders.installation import Installation
from tests.intruders.problems import CANARY, assert_no_internals, assert_problem
from tests.intruders.raw_client import RawClient
from tests.measurements import RecordProperty
from worker.inputs import data_folder_entry

HOSTILE = (
    "..",
    ".",
    "../../canary.txt",
    "..%2f..%2fcanary.txt",
    "%2e%2e%2f%2e%2e%2fcanary.txt",
    "%252e%252e%252f%252e%252e%252fcanary.txt",
    "..;/..;/canary.txt",
    "..%5c..%5ccanary.txt",
    "%c0%ae%c0%ae/%c0%ae%c0%ae/canary.txt",
    "..%00/canary.txt",
    "canary.txt%00.safetensors",
    "#/../../canary.txt",
    "%23",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//127.0.0.1/canary.txt",
    "home-evil",
    "%2e%2e%2fhome-evil%2fcanary.txt",
    "file:%2f%2f%2fetc%2fpasswd",
    "~root",
    "a%0d%0aSet-Cookie:%20a=b",
    "%ff%fe",
    "%F0%9F%92%A9",
    "x" * 5000,
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
REFUSED = {400, 404, 405}
"""The statuses of a refusal."""


def outside_files(installation: Installation) -> dict[str, bytes]:
    """Return the content of every file outside the service's own folder, by path."""
    home = installation.folder / "home"
    paths = (
        path
        for path in installation.folder.rglob("*")
        if home not in path.parents and path.is_file()
    )
    return {str(path): path.read_bytes() for path in paths if path.name != "api.log"}


def fill_path(template: str, text: str) -> str:
    """Return an operation's path with this text for each parameter."""
    return re.sub(r"{\w+}", lambda _: text, template)


def content_for(operation: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body that the operation takes, so that only the path is wrong."""
    media_types = operation.get("requestBody", {}).get("content", {})
    if "application/octet-stream" in media_types:
        return {"Content-Type": "application/octet-stream"}, b"{}"
    if "application/json" in media_types and operation["requestBody"].get("required"):
        return {"Content-Type": "application/json"}, b'{"model": "x"}'
    return {}, b""


def test_s1_no_path_of_any_operation_leaves_the_store(
    installation: Installation, raw_client: RawClient, record_property: RecordProperty
) -> None:
    (installation.folder / "home-evil").mkdir()
    (installation.folder / "home-evil" / "canary.txt").write_text(CANARY)
    files = outside_files(installation)
    memory = installation.service.memory()
    requests = 0
    for path, methods in installation.client.get("/openapi.json").json()["paths"].items():
        if "{" not in path:
            continue
        for hostile in HOSTILE:
            target = fill_path(path, hostile)
            for method in methods:
                headers, body = content_for(methods[method])
                response = raw_client.request(method.upper(), target, headers, body)
                assert response.status in {*REFUSED, 422}, (method, target[:100], response)
                assert CANARY.encode() not in response.body
                if method != "head":
                    assert_problem(response)
                requests += 1
    assert outside_files(installation) == files
    assert installation.service.memory() - memory < 100 * 2**20
    installation.wait_for_audit_entry(code="not_found")
    record_property("requests", requests)
    record_property("memory_mb", (installation.service.memory() - memory) >> 20)


def test_s1_every_method_refuses_hostile_paths_at_any_depth(
    installation: Installation, raw_client: RawClient
) -> None:
    """Also methods that no operation has, and paths beside every route."""
    for hostile in HOSTILE:
        # Before a fragment stands the dashboard's first page, which may not have been built.
        pages = {200, 503} if hostile.startswith("#") else set()
        for method in METHODS:
            for prefix in ("/v1/jobs/x/artifacts/", "/docs/assets/", "/"):
                response = raw_client.request(method, prefix + hostile)
                allowed = REFUSED | pages if prefix == "/" else REFUSED
                assert response.status in allowed, (method, prefix, hostile[:60], response)
                assert CANARY.encode() not in response.body


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/v1/jobs", "*", "v1/jobs", "/v1/../docs", "/docs/../v1/jobs", "//v1/jobs"],
)
def test_s1_unusual_request_targets_give_no_access(
    installation: Installation, raw_client: RawClient, target: str
) -> None:
    """A target in another form than a path is refused, or needs a key as always."""
    raw_client.key = None
    response = raw_client.request("GET", target)
    assert response.status in REFUSED | {401}
    assert_no_internals(response.body.decode())


NAMES = [
    text
    for text in HOSTILE
    if "%" not in text and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", text)
]
NAMES += ["../canary.txt\0", "a/../../canary.txt", "..\\canary.txt", "/proc/self/environ"]
"""The hostile texts that are no valid names. A body is not percent-decoded, as a path is."""


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:30])
def test_s1_no_name_in_a_body_or_header_leaves_the_store(
    installation: Installation, name: str
) -> None:
    files = outside_files(installation)
    bodies: list[tuple[str, Any]] = [
        ("/v1/models", {"name": name, "network": {"architecture": "small_cnn"}, "classes": 10}),
        ("/v1/datasets", {"name": name}),
        ("/v1/datasets", {"name": "fine", "folder": name}),
        ("/v1/datasets", {"name": "fine", "download": name}),
        ("/v1/datasets", {"name": "fine", "folder": "mine", "classes": [f"{name}/", "b"]}),
        ("/v1/keys", {"name": name, "scopes": ["read"]}),
        ("/v1/projects", {"name": name}),
        ("/v1/jobs", training_body(data={"dataset": name})),
        ("/v1/jobs", training_body(start_from=name)),
        ("/v1/jobs", training_body(metadata={f"{name}/": "x"})),
        ("/v1/jobs", distillation_body(teacher=name)),
        ("/v1/jobs", training_body(data={"dataset": "digits", "extra": {"dataset": name}})),
    ]
    for path, body in bodies:
        assert_problem(installation.client.post(path, json=body))
    assert outside_files(installation) == files
    if name.isascii() and name.isprintable() and len(name) < 1000:
        response = installation.client.get(
            "/v1/jobs",
            headers={"X-Request-Id": name, "Last-Event-ID": name, "Idempotency-Key": name},
        )
        assert "/" not in response.headers["X-Request-Id"]
        assert CANARY not in response.text


def test_s1_a_symlink_among_the_objects_is_not_served(installation: Installation) -> None:
    attempt = create_finished_job(installation.engine, installation.objects)
    content = CANARY.encode()
    row = create_artifact(
        installation.engine, installation.objects, attempt, "planted.bin", content
    )
    path = f"/v1/jobs/{attempt.job_id}/artifacts/planted.bin"
    assert installation.client.get(path).content == content
    stored = installation.folder / "home" / "objects" / row.object_key
    stored.unlink()
    stored.symlink_to(installation.canary)
    response = installation.client.get(path)
    assert (response.status_code, response.json()["code"]) == (500, "corrupt_object")
    assert_no_internals(response.text)


def test_s1_a_symlinked_upload_folder_receives_no_upload(installation: Installation) -> None:
    outside = installation.folder / "outside"
    outside.mkdir()
    model = installation.client.post(
        "/v1/models",
        json={
            "name": "planted",
            "network": {"architecture": "small_cnn"},
            "classes": 10,
            "channels": 1,
        },
    ).json()
    uploads = installation.folder / "home" / "objects" / "uploads"
    uploads.mkdir(parents=True, exist_ok=True)
    (uploads / model["id"]).symlink_to(outside)
    response = installation.client.put(
        f"/v1/models/{model['id']}/content", content=(8).to_bytes(8, "little") + b"{}      "
    )
    assert response.status_code >= 400
    assert_no_internals(response.text)
    assert list(outside.iterdir()) == []


def test_s1_data_folder_symlinks_that_lead_outside_are_refused(installation: Installation) -> None:
    """Neither a worker opens them, nor does the API accept a data set in them."""
    data_folder = installation.folder / "offered"
    (data_folder / "mine").mkdir()
    (data_folder / "inside").symlink_to(data_folder / "mine")
    (installation.folder / "offered-evil").mkdir()
    (data_folder / "sibling").symlink_to(installation.folder / "offered-evil")
    (data_folder / "leads-out").symlink_to(installation.folder)
    assert data_folder_entry(installation.settings, "inside") == data_folder / "mine"
    for name in ("leads-out", "sibling", "..", "mine/..", "/etc", ".", "mine\n", "none"):
        with pytest.raises(JobFailed) as caught:
            data_folder_entry(installation.settings, name)
        assert caught.value.failure_class == "user"
        assert_no_internals(str(caught.value))
    for name in ("leads-out", "sibling"):
        assert_problem(
            installation.client.post("/v1/datasets", json={"name": name, "folder": name}),
            "invalid_request",
        )
