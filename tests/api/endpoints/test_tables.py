"""Every list and table as CSV, and tables as Markdown and LaTeX."""

import csv
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from tests.builders import create_job, create_teacher
from tests.measured_jobs import AUTOATTACK, accuracy, finish_evaluation, finish_job

LISTS = (
    "/v1/jobs",
    "/v1/models",
    "/v1/datasets",
    "/v1/sweeps",
    "/v1/workers",
    "/v1/keys",
    "/v1/projects",
    "/v1/audit",
    "/v1/methods",
    "/v1/architectures",
    "/v1/examples",
)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("path", LISTS)
def test_every_list_is_available_as_csv(path: str, client: TestClient, engine: Engine) -> None:
    create_job(engine)
    create_teacher(engine)
    as_json = client.get(path).json()["data"]
    for response in (
        client.get(path, params={"format": "csv"}),
        client.get(path, headers={"Accept": "text/csv, application/json;q=0.5"}),
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        rows = read_csv(response.text)
        assert len(rows) == len(as_json)
        for row, item in zip(rows, as_json, strict=True):
            first = next(iter(item))
            assert row[first] == str(item[first])
    assert client.get(path, headers={"Accept": "*/*"}).json()["data"] == as_json
    assert client.get(path, params={"format": "xml"}).status_code == 422


def test_pages_of_csv_are_linked(client: TestClient, engine: Engine) -> None:
    ids = [create_job(engine).id for _ in range(3)]
    path = "/v1/jobs?format=csv&limit=2&sort=created_at"
    listed: list[str] = []
    while path:
        response = client.get(path)
        listed += [row["id"] for row in read_csv(response.text)]
        path = "/v1/jobs" + response.links["next"]["url"] if response.links else ""
    assert listed == ids


def test_numbers_stay_numbers_and_formulas_are_text(client: TestClient, engine: Engine) -> None:
    job = finish_job(
        engine,
        accuracy("clean", range(90)),
        name="=HYPERLINK(1)",
        metadata={"note": "@SUM(A1)", "owner": 'a "b", c'},
    )
    [row] = read_csv(client.get("/v1/jobs?format=csv").text)
    assert row["id"] == job.id
    assert (row["name"], row["metadata.note"]) == ("'=HYPERLINK(1)", "'@SUM(A1)")
    assert row["metadata.owner"] == 'a "b", c'
    assert float(row["results.best.clean"]) == 0.25
    assert row["intervals.best.clean.images"] == "360"


@pytest.fixture
def job_ids(client: TestClient, engine: Engine) -> list[str]:
    """Two students of one teacher; the first has a name that means something to LaTeX."""
    teacher = create_teacher(engine)
    finish_evaluation(engine, teacher.id, accuracy(AUTOATTACK, range(300), network="model"))
    return [
        finish_job(
            engine,
            accuracy("clean", range(350)),
            accuracy(AUTOATTACK, range(count)),
            teacher_id=teacher.id,
            name=name,
            seed=seed,
        ).id
        for seed, (count, name) in enumerate(((200, "50% & more_"), (100, "-plain|")))
    ]


def test_leaderboard_has_four_formats(client: TestClient, job_ids: list[str]) -> None:
    rows = read_csv(client.get("/v1/leaderboard?format=csv").text)
    assert [(row["rank_low"], row["rank_high"]) for row in rows] == [
        ("1", "1"),
        ("2", "2"),
        ("3", "3"),
    ]
    assert float(rows[1]["difference"]) == pytest.approx(-100 / 360)
    assert rows[1][AUTOATTACK] == str(200 / 360)
    markdown = client.get("/v1/leaderboard", headers={"Accept": "text/markdown"})
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    lines = markdown.text.splitlines()
    assert lines[0] == "### digits, L∞, 0.1"
    assert (
        lines[2] == "| rank | model | method | parameters | Clean % | AutoAttack % | vs. teacher |"
    )
    assert "−27.78 (−" in lines[5]
    latex = client.get("/v1/leaderboard?format=tex")
    assert latex.headers["content-type"] == "application/x-tex"
    assert r"\begin{tabular}{lrrrrrr}" in latex.text
    assert r"\toprule" in latex.text
    assert r"Clean \%" in latex.text


def test_comparison_has_four_formats(client: TestClient, job_ids: list[str]) -> None:
    path = f"/v1/compare?jobs={','.join(job_ids)}"
    first, second = read_csv(client.get(f"{path}&format=csv").text)
    assert (first["job"], second["job"]) == ("50% & more_", "'-plain|")
    assert (first["difference"], second["verdict"]) == ("", "lower")
    assert float(second["difference"]) == pytest.approx(-100 / 360)
    assert (first["seed"], second["seed"]) == ("0", "1")
    markdown = client.get(f"{path}&format=md").text
    assert "| -plain\\| | arkd |" in markdown
    latex = client.get(path, headers={"Accept": "application/x-tex"}).text
    assert r"50\% \& more\_ & arkd &" in latex
    assert latex.count(r"\bottomrule") == 2


def test_sweep_table_has_four_formats(client: TestClient, engine: Engine) -> None:
    create_teacher(engine)
    body: dict[str, Any] = {
        "base": {
            "kind": "distillation",
            "teacher": "teacher",
            "student": {"architecture": "small_cnn", "width": 4},
            "data": {"dataset": "digits"},
        },
        "axes": {"method": ["arkd", "rslad"]},
    }
    sweep_id = client.post("/v1/sweeps", json=body).json()["id"]
    path = f"/v1/sweeps/{sweep_id}/table"
    assert client.get(path).json()["lines"][0]["name"] == "arkd"
    assert client.get(path, headers={"Accept": "text/csv"}).text.startswith("line,jobs,done,best")
    assert client.get(f"{path}?format=tex").text.splitlines()[-3:] == [
        r"rslad & 0/1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
