"""Sweeps: submission, table, cancellation."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.store import attempts
from tests.api.conftest import STRANGERS_KEY, bearer
from tests.builders import claim_job, create_teacher, distillation_body

HELD_OUT = "held_out_pgd-10@linf:8/255"


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


def finish(engine: Engine, job_id: str, best: dict[str, float]) -> None:
    """End the job as a worker does, with these results of its best student."""
    attempt = claim_job(engine, job_id)
    assert attempt is not None
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job, results={"best": best})


def jobs_of(client: TestClient, sweep_id: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = client.get(
        "/v1/jobs", params={"sweep": sweep_id, "sort": "created_at"}
    ).json()["data"]
    return jobs


def test_sweep_is_one_job_per_combination(client: TestClient) -> None:
    """They are ordinary jobs."""
    response = client.post("/v1/sweeps", json=body())
    assert response.status_code == 201
    sweep = response.json()
    assert response.headers["Location"] == f"/v1/sweeps/{sweep['id']}"
    assert (sweep["size"], sweep["jobs"], sweep["terminal"]) == (4, {"queued": 4}, False)
    jobs = jobs_of(client, sweep["id"])
    assert [(job["name"], job["sweep_line"]) for job in jobs] == [
        ("two methods: arkd, seed 0", "arkd"),
        ("two methods: arkd, seed 1", "arkd"),
        ("two methods: rslad, seed 0", "rslad"),
        ("two methods: rslad, seed 1", "rslad"),
    ]
    stored = client.get(f"/v1/jobs/{jobs[3]['id']}").json()
    assert (stored["spec"]["method"]["name"], stored["spec"]["seed"], stored["sweep_id"]) == (
        "rslad",
        1,
        sweep["id"],
    )
    assert client.get(f"/v1/sweeps/{sweep['id']}").json() == sweep
    assert [row["id"] for row in client.get("/v1/sweeps").json()["data"]] == [sweep["id"]]


def test_dry_run_shows_every_job_and_stores_none(client: TestClient) -> None:
    response = client.post("/v1/sweeps?dry_run=true", json=body())
    assert response.status_code == 200
    jobs = response.json()["jobs"]
    assert [job["title"] for job in jobs] == [
        "arkd, seed 0",
        "arkd, seed 1",
        "rslad, seed 0",
        "rslad, seed 1",
    ]
    alone = client.post("/v1/jobs?dry_run=true", json=jobs[0]["spec"]).json()
    assert jobs[0]["spec"] == alone["spec"]
    assert response.json()["network_passes"] > 3 * alone["estimate"]["network_passes"]
    assert client.get("/v1/jobs").json()["data"] == client.get("/v1/sweeps").json()["data"] == []


def test_table_has_statistics_and_marks_the_best_line(client: TestClient, engine: Engine) -> None:
    """Mean and standard deviation over succeeded jobs; held-out images choose the best line."""
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
        finish(engine, job_id, {"clean": clean, HELD_OUT: held_out})
    table = client.get(f"/v1/sweeps/{sweep_id}/table").json()
    assert table["measures"] == ["clean", HELD_OUT]
    arkd, rslad = table["lines"]
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
        "|  | jobs | Clean % | Held-out PGD-10, L∞, 8/255 % |",
        "| --- | --- | --- | --- |",
        "| **arkd** | **2/2** | **60.00 ± 14.14** | **30.00 ± 0.00** |",
        "| rslad | 2/2 | 90.00 ± 0.00 | 10.00 ± 0.00 |",
    ]
    as_csv = client.get(f"/v1/sweeps/{sweep_id}/table?format=csv").text.splitlines()
    assert as_csv[0] == (
        "line,jobs,done,best,clean,clean_sd,clean_n,"
        "held_out_pgd-10@linf:8/255,held_out_pgd-10@linf:8/255_sd,held_out_pgd-10@linf:8/255_n"
    )
    assert as_csv[2].startswith("rslad,2,2,False,0.9,0.0,2,0.1,")


def test_table_describes_each_of_its_measures(client: TestClient, engine: Engine) -> None:
    """Accuracies under unlike threat models are columns of their own, never one mean."""
    sweep_id = client.post("/v1/sweeps", json=body()).json()["id"]
    first, second = [job["id"] for job in jobs_of(client, sweep_id)][:2]
    finish(engine, first, {"autoattack@linf:8/255": 0.25, "pgd-20@linf:8/255": 0.5})
    finish(engine, second, {"autoattack@l2:0.5": 0.75})
    table = client.get(f"/v1/sweeps/{sweep_id}/table").json()
    assert table["measures"] == [
        "pgd-20@linf:8/255",
        "autoattack@linf:8/255",
        "autoattack@l2:0.5",
    ]
    cells = table["lines"][0]["cells"]
    assert {key: (cell["mean"], cell["n"]) for key, cell in cells.items()} == {
        "pgd-20@linf:8/255": (0.5, 1),
        "autoattack@linf:8/255": (0.25, 1),
        "autoattack@l2:0.5": (0.75, 1),
    }
    assert list(table["descriptions"]) == table["measures"]
    assert table["descriptions"]["autoattack@l2:0.5"] == {
        "key": "autoattack@l2:0.5",
        "name": "autoattack",
        "title": "AutoAttack, L2, 0.5",
        "label": "AutoAttack",
        "unit": "%",
        "scale": 100.0,
        "accuracy": True,
        "norm": "l2",
        "radius": 0.5,
        "steps": None,
        "version": "standard",
        "run": 1,
    }


def test_lines_of_unlike_threat_models_have_no_best(client: TestClient, engine: Engine) -> None:
    """A held-out accuracy at one radius does not exceed one at another."""
    axes = {"adversary.radius": [8 / 255, 4 / 255]}
    base = {**body()["base"], "method": {"name": "arkd"}}
    sweep_id = client.post("/v1/sweeps", json=body(axes=axes, base=base)).json()["id"]
    first, second = [job["id"] for job in jobs_of(client, sweep_id)]
    finish(engine, first, {HELD_OUT: 0.5})
    finish(engine, second, {"held_out_pgd-10@linf:4/255": 0.75})
    table = client.get(f"/v1/sweeps/{sweep_id}/table").json()
    assert [line["best"] for line in table["lines"]] == [False, False]


def test_formula_like_names_are_quoted_in_csv(client: TestClient) -> None:
    """A spreadsheet would evaluate them. In Markdown, pipes are escaped."""
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


def test_errors_of_a_sweep_are_summarized(
    client: TestClient,
) -> None:
    """An error of every job is reported once; an error of some jobs names the first of them."""
    wrong = body()
    wrong["base"]["data"]["dataset"] = "nowhere"
    wrong["axes"]["method"] = ["arkd", "magic"]
    response = client.post("/v1/sweeps", json=wrong)
    assert (response.status_code, response.json()["code"]) == (422, "sweep_cannot_run")
    errors = {tuple(error["path"]): error["message"] for error in response.json()["errors"]}
    assert errors[("base", "method")].startswith("magic, seed 0 and 1 more: Input tag 'magic'")
    assert "nowhere" in errors[("base", "data", "dataset")]
    assert client.get("/v1/jobs").json()["data"] == []


def test_one_invalid_job_refuses_the_sweep(client: TestClient) -> None:
    response = client.post(
        "/v1/sweeps", json=body(axes={"method": ["arkd"], "schedule.batch_size": [64, 8000]})
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["message"].startswith(
        "arkd, schedule.batch_size 8000: A batch of 8000"
    )
    assert client.get("/v1/jobs").json()["data"] == client.get("/v1/sweeps").json()["data"] == []


def test_equal_jobs_are_refused(client: TestClient) -> None:
    response = client.post(
        "/v1/sweeps", json=body(axes={"method": ["arkd", {"name": "arkd", "beta": 0.8}]})
    )
    assert response.status_code == 422
    assert response.json()["detail"] == "arkd and arkd {beta: 0.8} are the same job."


def test_sweep_is_idempotent_under_a_key(client: TestClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first, second = (client.post("/v1/sweeps", json=body(), headers=headers) for _ in range(2))
    assert (first.json(), second.headers["Idempotency-Replayed"]) == (second.json(), "true")
    assert len(client.get("/v1/jobs").json()["data"]) == 4


def test_cancelling_a_sweep_cancels_its_jobs_only(client: TestClient) -> None:
    sweep_id, other = (client.post("/v1/sweeps", json=body()).json()["id"] for _ in range(2))
    first, second = (client.post(f"/v1/sweeps/{sweep_id}/cancel") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert (first.json()["jobs"], first.json()["terminal"]) == ({"cancelled": 4}, True)
    assert client.get(f"/v1/sweeps/{other}").json()["jobs"] == {"queued": 4}


def test_sweep_of_another_project_is_hidden(client: TestClient, anonymous: TestClient) -> None:
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
