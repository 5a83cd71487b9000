"""A job's metrics: thinned series, and streams of every value."""

import csv
import io
import json

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.store import metrics
from core.store.database.engine import transaction
from core.store.database.fence import FencedSession
from tests.builders import create_job


@pytest.fixture
def job_id(engine: Engine) -> str:
    """A job with 2,000 steps of two metrics: a loss with one spike, and a constant rate."""
    job = create_job(engine)
    rows = [
        (step, {"loss": 100.0 if step == 777 else 1 / step, "rate": 0.1}) for step in range(1, 2001)
    ]
    with transaction(engine, FencedSession) as session:
        metrics.record_many(session, job.id, 1, rows)
    return job.id


def test_series_are_thinned_without_losing_spikes(client: TestClient, job_id: str) -> None:
    series = client.get(f"/v1/jobs/{job_id}/metrics", params={"points": 100}).json()["series"]
    assert [metric["name"] for metric in series] == ["loss", "rate"]
    points = series[0]["points"]
    assert 20 <= len(points) <= 120
    assert [777, 100.0] in points
    assert (points[0][0], points[-1][0]) == (1, 2000)


def test_only_selected_metrics_are_sent(client: TestClient, job_id: str) -> None:
    series = client.get(f"/v1/jobs/{job_id}/metrics", params={"names": "rate,none"}).json()[
        "series"
    ]
    assert [(metric["name"], len(metric["points"]) > 100) for metric in series] == [("rate", True)]


def test_every_value_is_streamed_raw_or_as_csv(client: TestClient, job_id: str) -> None:
    raw = client.get(f"/v1/jobs/{job_id}/metrics", params={"format": "raw"})
    assert raw.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in raw.text.splitlines()]
    assert len(lines) == 4000
    assert lines[776] == {"name": "loss", "step": 777, "value": 100.0}
    table = client.get(f"/v1/jobs/{job_id}/metrics", params={"format": "csv", "names": "loss"})
    assert table.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(table.text)))
    assert (rows[0], rows[777], len(rows)) == (
        ["name", "step", "value"],
        ["loss", "777", "100.0"],
        2001,
    )


@pytest.mark.parametrize(
    "query", ["points=3", "points=100001", "format=xml", "names=" + "x" * 4001]
)
def test_invalid_parameters_are_refused(client: TestClient, job_id: str, query: str) -> None:
    assert client.get(f"/v1/jobs/{job_id}/metrics?{query}").status_code == 422


def test_impossible_names_select_nothing(client: TestClient, job_id: str) -> None:
    assert client.get(f"/v1/jobs/{job_id}/metrics", params={"names": "a\0b,';--"}).json() == {
        "series": []
    }


def test_a_part_of_a_series_is_thinned_less(client: TestClient, job_id: str) -> None:
    part = "points=100&names=loss&first_step=770&last_step=790"
    response = client.get(f"/v1/jobs/{job_id}/metrics?{part}")
    (loss,) = response.json()["series"]
    assert [step for step, _ in loss["points"]] == list(range(770, 791))
    refused = client.get(f"/v1/jobs/{job_id}/metrics", params={"first_step": -1})
    assert refused.status_code == 422
