"""S1: whatever is put where an id, a name or a key belongs, nothing beside the store is read or written."""

import re
from typing import Any

import pytest

from tests.api.builders import create_artifact, create_finished_job
from tests.builders import distillation_body, training_body
from tests.intruders.installation import Installation
from tests.intruders.problems import CANARY, assert_no_internals, assert_problem
from tests.intruders.raw_client import RawClient
from tests.measurements import RecordProperty

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
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
REFUSED = {400, 404, 405}


def surroundings(installation: Installation) -> dict[str, Any]:
    """Everything beside the service's own folder."""
    found = (
        path
        for path in installation.folder.rglob("*")
        if installation.folder / "home" not in path.parents and path.is_file()
    )
    return {str(path): path.read_bytes() for path in found if path.name != "api.log"}


def test_s1_no_path_of_any_operation_leads_out_of_the_store(
    installation: Installation, raw_client: RawClient, record_property: RecordProperty
) -> None:
    (installation.folder / "home-evil").mkdir()
    (installation.folder / "home-evil" / "canary.txt").write_text(CANARY)
    before, memory = surroundings(installation), installation.service.memory()
    asked = 0
    for path, methods in installation.client.get("/openapi.json").json()["paths"].items():
        if "{" not in path:
            continue
        for hostile in HOSTILE:
            target = re.sub(r"{\w+}", lambda _, text=hostile: text, path)
            for method in methods:
                headers = {"Content-Type": "application/octet-stream"} if method == "put" else {}
                response = raw_client.request(
                    method.upper(), target, headers, b"{}" if method == "put" else b""
                )
                assert response.status in REFUSED, (method, target[:100], response)
                assert CANARY.encode() not in response.body
                if method != "head":
                    assert_problem(response)
                asked += 1
    assert surroundings(installation) == before
    assert installation.service.memory() - memory < 100 * 2**20
    installation.wait_for_audit_entry(code="not_found")
    record_property("requests", asked)
    record_property("memory_mb", (installation.service.memory() - memory) >> 20)


def test_s1_all_verbs_are_refused_alike_also_beside_every_route(
    installation: Installation, raw_client: RawClient
) -> None:
    for hostile in HOSTILE:
        for verb in VERBS:
            for place in ("/v1/jobs/x/artifacts/", "/docs/assets/", "/"):
                response = raw_client.request(verb, place + hostile)
                assert response.status in REFUSED, (verb, place, hostile[:60], response)
                assert CANARY.encode() not in response.body


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/v1/jobs", "*", "v1/jobs", "/v1/../docs", "/docs/../v1/jobs", "//v1/jobs"],
)
def test_s1_a_request_target_of_another_form_opens_nothing_more(
    installation: Installation, raw_client: RawClient, target: str
) -> None:
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


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:30])
def test_s1_no_name_in_a_body_or_a_header_leads_out_of_the_store(
    installation: Installation, name: str
) -> None:
    before = surroundings(installation)
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
    assert surroundings(installation) == before
    if name.isascii() and name.isprintable() and len(name) < 1000:
        response = installation.client.get(
            "/v1/jobs",
            headers={"X-Request-Id": name, "Last-Event-ID": name, "Idempotency-Key": name},
        )
        assert "/" not in response.headers["X-Request-Id"]
        assert CANARY not in response.text


def test_s1_a_link_planted_in_the_objects_folder_is_no_object(installation: Installation) -> None:
    attempt = create_finished_job(installation.engine, installation.objects)
    content = CANARY.encode()
    row = create_artifact(
        installation.engine, installation.objects, attempt, "planted.bin", content
    )
    assert (
        installation.client.get(f"/v1/jobs/{attempt.job_id}/artifacts/planted.bin").content
        == content
    )
    stored = installation.folder / "home" / "objects" / row.object_key
    stored.unlink()
    stored.symlink_to(installation.canary)
    response = installation.client.get(f"/v1/jobs/{attempt.job_id}/artifacts/planted.bin")
    assert (response.status_code, response.json()["code"]) == (500, "corrupt_object")
    assert_no_internals(response.text)


def test_s1_a_link_planted_as_a_folder_of_the_store_takes_no_upload(
    installation: Installation,
) -> None:
    outside = installation.folder / "outside"
    outside.mkdir()
    made = installation.client.post(
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
    (uploads / made["id"]).symlink_to(outside)
    response = installation.client.put(
        f"/v1/models/{made['id']}/content", content=(8).to_bytes(8, "little") + b"{}      "
    )
    assert response.status_code >= 400
    assert_no_internals(response.text)
    assert list(outside.iterdir()) == []


def test_s1_a_link_in_the_data_folder_that_leads_out_of_it_is_not_offered(
    installation: Installation,
) -> None:
    from core.errors import JobFailed
    from worker.inputs import data_folder_entry

    offer = installation.folder / "offered"
    (offer / "mine").mkdir()
    (offer / "inside").symlink_to(offer / "mine")
    (installation.folder / "offered-evil").mkdir()
    (offer / "sibling").symlink_to(installation.folder / "offered-evil")
    (offer / "leads-out").symlink_to(installation.folder)
    assert data_folder_entry(installation.settings, "inside") == offer / "mine"
    for name in ("leads-out", "sibling", "..", "mine/..", "/etc", ".", "mine\n", "none"):
        with pytest.raises(JobFailed) as refused:
            data_folder_entry(installation.settings, name)
        assert refused.value.failure_class == "user"
        assert_no_internals(str(refused.value))
    for name in ("leads-out", "sibling"):
        assert_problem(
            installation.client.post("/v1/datasets", json={"name": name, "folder": name}),
            "invalid_request",
        )
