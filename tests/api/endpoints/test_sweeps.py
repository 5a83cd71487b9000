"""POST /v1/sweeps and what follows from it."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.store import attempts
from tests.api.conftest import STRANGERS_KEY, bearer
from tests.builders import claim_job, create_teacher, distillation_body


def body(**parts: Any) -> dict[str, Any]:
    base = distillation_body()
    del base["method"]
    return {
        "name": "two methods",
        "base": base,
        "axes": {"method": ["arkd", "rslad"], "seed": [0, 1]},
        **parts,
    }


@pytest.fixture(autouse=True)
def teacher(engine: Engine) -> None:
    create_teacher(engine)


def finish(engine: Engine, job_id: str, **best: float) -> None:
    """As a worker that measured these numbers."""
    attempt = claim_job(engine, job_id)
    assert attempt is not None
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job, results={"best": best})


def jobs_of(client: TestClient, sweep_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(
        "/v1/jobs", params={"sweep": sweep_id, "sort": "created_at"}
    ).json()["data"]
    return found


def test_a_sweep_is_as_many_ordinary_jobs_as_it_has_combinations(client: TestClient) -> None:
    made = client.post("/v1/sweeps", json=body())
    assert made.status_code == 201
    sweep = made.json()
    assert made.headers["Location"] == f"/v1/sweeps/{sweep['id']}"
    assert (sweep["size"], sweep["jobs"], sweep["terminal"]) == (4, {"queued": 4}, False)
    found = jobs_of(client, sweep["id"])
    assert [(job["name"], job["sweep_line"]) for job in found] == [
        ("two methods: arkd, seed 0", "arkd"),
        ("two methods: arkd, seed 1", "arkd"),
        ("two methods: rslad, seed 0", "rslad"),
        ("two methods: rslad, seed 1", "rslad"),
    ]
    stored = client.get(f"/v1/jobs/{found[3]['id']}").json()
    assert (stored["spec"]["method"]["name"], stored["spec"]["seed"], stored["sweep_id"]) == (
        "rslad",
        1,
        sweep["id"],
    )
    assert client.get(f"/v1/sweeps/{sweep['id']}").json() == sweep
    assert [it["id"] for it in client.get("/v1/sweeps").json()["data"]] == [sweep["id"]]


def test_a_dry_run_shows_every_job_and_stores_none(client: TestClient) -> None:
    answer = client.post("/v1/sweeps?dry_run=true", json=body())
    assert answer.status_code == 200
    jobs = answer.json()["jobs"]
    assert [job["title"] for job in jobs] == [
        "arkd, seed 0",
        "arkd, seed 1",
        "rslad, seed 0",
        "rslad, seed 1",
    ]
    alone = client.post("/v1/jobs?dry_run=true", json=jobs[0]["spec"]).json()
    assert jobs[0]["spec"] == alone["spec"]
    assert answer.json()["network_passes"] > 3 * alone["estimate"]["network_passes"]
    assert client.get("/v1/jobs").json()["data"] == client.get("/v1/sweeps").json()["data"] == []


def test_the_table_has_mean_and_deviation_of_what_is_done_and_marks_the_best_by_held_out_images(
    client: TestClient, engine: Engine
) -> None:
    sweep_id = client.post("/v1/sweeps", json=body()).json()["id"]
    ids = [job["id"] for job in jobs_of(client, sweep_id)]
    empty = client.get(f"/v1/sweeps/{sweep_id}/table").json()
    assert [(line["name"], line["done"], line["cells"]) for line in empty["lines"]] == [
        ("arkd", 0, {}),
        ("rslad", 0, {}),
    ]
    for job_id, clean, held_out in zip(
        ids, (0.5, 0.7, 0.9, 0.9), (0.3, 0.3, 0.1, 0.1), strict=True
    ):
        finish(engine, job_id, clean=clean, held_out_robust=held_out)
    arkd, rslad = client.get(f"/v1/sweeps/{sweep_id}/table").json()["lines"]
    assert (arkd["best"], rslad["best"]) == (True, False)
    assert arkd["cells"]["clean"] == {
        "mean": pytest.approx(0.6),
        "sd": pytest.approx(0.02**0.5),
        "n": 2,
    }
    assert client.get(f"/v1/sweeps/{sweep_id}").json()["terminal"]
    as_markdown = client.get(f"/v1/sweeps/{sweep_id}/table?format=md")
    assert as_markdown.headers["content-type"].startswith("text/markdown")
    assert as_markdown.text.splitlines() == [
        "|  | jobs | Clean % | Held-out PGD-10 % |",
        "| --- | --- | --- | --- |",
        "| **arkd** | **2/2** | **60.00 ± 14.14** | **30.00 ± 0.00** |",
        "| rslad | 2/2 | 90.00 ± 0.00 | 10.00 ± 0.00 |",
    ]
    as_csv = client.get(f"/v1/sweeps/{sweep_id}/table?format=csv").text.splitlines()
    assert (
        as_csv[0]
        == "line,jobs,done,best,clean,clean_sd,clean_n,held_out_robust,held_out_robust_sd,held_out_robust_n"
    )
    assert as_csv[2].startswith("rslad,2,2,False,0.9,0.0,2,0.1,")


def test_a_line_that_a_spreadsheet_would_run_is_quoted(client: TestClient) -> None:
    rows = [
        {"name": "=cmd|' /C calc'!A0", "changes": {"method": {"name": "arkd"}}},
        {"name": "a|b", "changes": {"method": {"name": "rslad"}}},
    ]
    sweep_id = client.post("/v1/sweeps", json=body(rows=rows, axes={})).json()["id"]
    assert (
        client.get(f"/v1/sweeps/{sweep_id}/table?format=csv")
        .text.splitlines()[1]
        .startswith("'=cmd")
    )
    assert "| a\\|b |" in client.get(f"/v1/sweeps/{sweep_id}/table?format=md").text


def test_what_is_wrong_with_every_job_is_said_once_and_what_is_wrong_with_some_names_one(
    client: TestClient,
) -> None:
    wrong = body()
    wrong["base"]["data"]["dataset"] = "nowhere"
    wrong["axes"]["method"] = ["arkd", "magic"]
    answer = client.post("/v1/sweeps", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "sweep_cannot_run")
    errors = {tuple(error["path"]): error["message"] for error in answer.json()["errors"]}
    assert errors[("base", "method")].startswith("magic, seed 0 and 1 more: Input tag 'magic'")
    assert "nowhere" in errors[("base", "data", "dataset")]
    assert client.get("/v1/jobs").json()["data"] == []


def test_one_job_that_could_not_run_keeps_all_of_them_out(client: TestClient) -> None:
    answer = client.post(
        "/v1/sweeps", json=body(axes={"method": ["arkd"], "schedule.batch_size": [64, 8000]})
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"].startswith(
        "arkd, schedule.batch_size 8000: A batch of 8000"
    )
    assert client.get("/v1/jobs").json()["data"] == client.get("/v1/sweeps").json()["data"] == []


def test_two_equal_jobs_are_refused(client: TestClient) -> None:
    answer = client.post(
        "/v1/sweeps", json=body(axes={"method": ["arkd", {"name": "arkd", "beta": 0.8}]})
    )
    assert answer.status_code == 422
    assert answer.json()["detail"] == "arkd and arkd {beta: 0.8} are the same job."


def test_the_same_key_makes_no_second_sweep(client: TestClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first, second = (client.post("/v1/sweeps", json=body(), headers=headers) for _ in range(2))
    assert (first.json(), second.headers["Idempotency-Replayed"]) == (second.json(), "true")
    assert len(client.get("/v1/jobs").json()["data"]) == 4


def test_cancelling_a_sweep_cancels_its_jobs_and_no_others(client: TestClient) -> None:
    ours, other = (client.post("/v1/sweeps", json=body()).json()["id"] for _ in range(2))
    first, second = (client.post(f"/v1/sweeps/{ours}/cancel") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert (first.json()["jobs"], first.json()["terminal"]) == ({"cancelled": 4}, True)
    assert client.get(f"/v1/sweeps/{other}").json()["jobs"] == {"queued": 4}


def test_a_stranger_sees_none_of_it(client: TestClient, anonymous: TestClient) -> None:
    sweep_id = client.post("/v1/sweeps", json=body()).json()["id"]
    stranger = bearer(STRANGERS_KEY)
    for method, path in (("GET", ""), ("GET", "/table"), ("POST", "/cancel")):
        assert (
            anonymous.request(method, f"/v1/sweeps/{sweep_id}{path}", headers=stranger).status_code
            == 404
        )
    assert anonymous.get("/v1/sweeps", headers=stranger).json()["data"] == []
    assert (
        anonymous.get("/v1/jobs", params={"sweep": sweep_id}, headers=stranger).json()["data"] == []
    )
    assert (
        anonymous.post("/v1/sweeps", json=body(), headers=stranger).status_code == 422
    )  # no such teacher there
