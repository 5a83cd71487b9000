"""PATCH of jobs, models and data sets."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from core.store.database.engine import read_session
from core.store.database.tables import AuditRow
from tests.api.builders import create_ready_dataset
from tests.api.conftest import STRANGERS_KEY, bearer, make_key
from tests.builders import create_attempt, create_job, create_teacher, set_progress

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(params=["jobs", "models", "datasets"])
def path(request: pytest.FixtureRequest, engine: Engine) -> str:
    """Path of a job, of a model and of a data set, each named ``before``."""
    match request.param:
        case "jobs":
            return f"/v1/jobs/{create_job(engine, name='before').id}"
        case "models":
            return f"/v1/models/{create_teacher(engine, name='before').id}"
        case _:
            return f"/v1/datasets/{create_ready_dataset(engine, 'before').id}"


def patch(client: TestClient, path: str, body: Any, **headers: str) -> dict[str, Any]:
    response = client.patch(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    assert client.get(path).json() == changed
    assert client.get(path).headers["ETag"] == response.headers["ETag"]
    return changed


def problem(client: TestClient, path: str, body: Any, **headers: str) -> tuple[int, str]:
    response = client.patch(path, json=body, headers=headers)
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def test_a_patch_changes_what_it_names(client: TestClient, path: str) -> None:
    before = client.get(path).json()
    changed = patch(
        client, path, {"notes": "# Why\n*because*", "metadata": {"team": "a", "n": "1"}}
    )
    assert changed == {
        **before,
        "notes": "# Why\n*because*",
        "metadata": {"team": "a", "n": "1"},
    }
    changed = patch(client, path, {"name": "after", "metadata": {"n": None}}, **MERGE_PATCH)
    assert (changed["name"], changed["metadata"]) == ("after", {"team": "a"})
    assert patch(client, path, {"notes": None, "metadata": None}) == {**before, "name": "after"}
    assert patch(client, path, {}) == {**before, "name": "after"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"notes": "a\0b"}, "notes"),
        ({"notes": "a\x1b[2J"}, "notes"),
        ({"notes": "x" * 10_001}, "notes"),
        ({"notes": "\u00fc" * 5_001}, "notes"),
        ({"metadata": {"a b": "c"}}, "metadata.a b"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {f"k{n}": "" for n in range(33)}}, "metadata"),
        ({"status": "succeeded"}, "status"),
    ],
)
def test_a_wrong_patch_names_its_field(
    client: TestClient, path: str, body: Any, field: str
) -> None:
    before = client.get(path).json()
    response = client.patch(path, json=body)
    assert (response.status_code, response.json()["param"]) == (422, field)
    assert client.get(path).json() == before


def test_notes_are_bounded_in_bytes(client: TestClient, path: str) -> None:
    assert patch(client, path, {"notes": "\u00fc" * 5_000})["notes"] == "\u00fc" * 5_000


def test_only_a_job_can_do_without_a_name(client: TestClient, path: str) -> None:
    response = client.patch(path, json={"name": None})
    assert response.status_code == (200 if path.startswith("/v1/jobs") else 422)


def test_a_stale_etag_is_refused(client: TestClient, path: str) -> None:
    first = client.get(path).headers["ETag"]
    patch(client, path, {"notes": "mine"}, **{"If-Match": first})
    refused = problem(client, path, {"notes": "theirs"}, **{"If-Match": first})
    assert refused == (412, "precondition_failed")
    assert client.get(path).json()["notes"] == "mine"
    for notes in ("weak", "strong", "any"):
        current = client.get(path).headers["ETag"]
        tags = {"weak": f'"other", {current}', "strong": current.removeprefix("W/"), "any": "*"}
        patch(client, path, {"notes": notes}, **{"If-Match": tags[notes]})
    for other in ("", "nothing", '"x.y"'):
        assert problem(client, path, {"notes": "no"}, **{"If-Match": other})[0] == 412


def test_progress_of_a_job_makes_no_edit_stale(client: TestClient, engine: Engine) -> None:
    attempt = create_attempt(engine)
    path = f"/v1/jobs/{attempt.job_id}"
    etag = client.get(path).headers["ETag"]
    set_progress(attempt, {"step": 1, "of": 2})
    assert client.get(path).headers["ETag"] != etag
    patch(client, path, {"notes": "still mine"}, **{"If-Match": etag})


def test_a_repeated_patch_is_carried_out_once(client: TestClient, path: str) -> None:
    """With If-Match, a copy of the request would otherwise be refused."""
    headers = {"Idempotency-Key": "k", "If-Match": client.get(path).headers["ETag"]}
    first = client.patch(path, json={"notes": "n"}, headers=headers)
    again = client.patch(path, json={"notes": "n"}, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_patch_has_an_audit_entry(client: TestClient, path: str, engine: Engine) -> None:
    patch(client, path, {"notes": "n"})
    with read_session(engine) as session:
        (entry,) = session.scalars(select(AuditRow).where(AuditRow.action.startswith("PATCH ")))
    assert (entry.target, entry.status) == (path.rpartition("/")[2], 200)


def test_a_patch_needs_scope_and_project(client: TestClient, path: str, engine: Engine) -> None:
    body = {"notes": "n"}
    assert problem(client, path, body, **make_key(engine, "read")) == (403, "forbidden")
    assert problem(client, path, body, **bearer(STRANGERS_KEY)) == (404, "not_found")
    assert problem(client, f"{path}x", body) == (404, "not_found")
    assert client.get(path).json()["notes"] is None


def test_a_taken_name_is_a_conflict(client: TestClient, engine: Engine) -> None:
    create_teacher(engine, name="taken")
    path = f"/v1/models/{create_teacher(engine, name='mine').id}"
    assert problem(client, path, {"name": "taken"}) == (409, "name_taken")
    create_ready_dataset(engine, "mine")
    assert problem(client, "/v1/datasets/mine", {"name": "digits"}) == (409, "name_taken")
    assert problem(client, "/v1/datasets/digits", {"notes": "n"}) == (409, "built_in")


def test_reads_of_models_are_conditional(client: TestClient, path: str) -> None:
    etag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    patch(client, path, {"notes": "n"})
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_a_clone_says_what_it_was_made_from(client: TestClient, engine: Engine) -> None:
    """It has the name and the metadata that the job has by now."""
    job = create_job(engine, name="before", metadata={"team": "a"})
    path = f"/v1/jobs/{job.id}"
    patch(client, path, {"name": "after", "notes": "its own", "metadata": {"team": "b"}})
    clone = client.post(f"{path}/clone", json={"seed": 1}).json()
    assert (clone["cloned_from"], clone["name"], clone["notes"]) == (job.id, "after", None)
    assert clone["metadata"] == clone["spec"]["metadata"] == {"team": "b"}
    listed = client.get("/v1/jobs", params={"metadata[team]": "b"}).json()["data"]
    assert {row["id"]: row["cloned_from"] for row in listed} == {clone["id"]: job.id, job.id: None}
