"""Migration 0007 makes rows of earlier results, and words to search by."""

from fastapi.testclient import TestClient

from core.store import search_words
from core.store.database.engine import read_session
from core.store.database.tables import DatasetRow, JobResultRow, JobRow, ModelRow
from tests.store.database.test_upgrades import (
    Upgraded,
    client,
    contents,
    empty_url,
    get,
    upgraded,
)

__all__ = ["client", "empty_url", "upgraded"]


def test_earlier_results_are_rows_without_masks(upgraded: Upgraded) -> None:
    with read_session(upgraded.engine) as session:
        results = {
            (job.id, network, key): value
            for job in session.query(JobRow)
            for network, numbers in (job.results or {}).items()
            for key, value in numbers.items()
        }
        rows = session.query(JobResultRow).all()
        assert {(row.job_id, row.network, row.key): row.value for row in rows} == results
        for row in rows:
            assert (row.mask, row.image_set, row.images, row.low) == (None, None, None, None)
            assert row.is_main == (row.network != "last")
            assert (row.norm is None) == ("@" not in row.key) == (row.radius is None)
    assert results


def test_each_model_has_one_current_result_a_key(upgraded: Upgraded) -> None:
    """The newest of its training and its evaluations."""
    with read_session(upgraded.engine) as session:
        rows = session.query(JobResultRow).all()
        sources = {}
        for job in session.query(JobRow).order_by(JobRow.id):
            model_id = job.spec["model"] if job.kind == "evaluation" else job.model_id
            network = "model" if job.kind == "evaluation" else "best"
            for key in (job.results or {}).get(network, {}):
                if model_id is not None:
                    sources[model_id, key] = job.id
        current = {(row.model_id, row.key): row.job_id for row in rows if row.model_id is not None}
    assert current == sources


def test_items_have_the_words_that_new_ones_get(upgraded: Upgraded) -> None:
    stored: dict[str, set[str]] = {}
    for row in contents(upgraded.engine)["search_words"]:
        stored.setdefault(row["item_id"], set()).add(row["word"])
    with read_session(upgraded.engine) as session:
        items = [
            *session.query(JobRow),
            *session.query(ModelRow),
            *session.query(DatasetRow).filter(DatasetRow.project_id.is_not(None)),
        ]
        assert stored == {item.id: set(search_words.words_of(item)) for item in items}


def test_earlier_jobs_are_compared_and_ranked(client: TestClient, upgraded: Upgraded) -> None:
    jobs = [
        job["id"]
        for job in get(client, "/v1/jobs?limit=200")["data"]
        if (job["results"] or {}).get("best")
    ]
    if len(jobs) >= 2:
        comparison = get(client, f"/v1/compare?jobs={','.join(jobs)}")
        assert [job["id"] for job in comparison["jobs"]] == jobs
        verdicts = {
            difference["verdict"]
            for section in comparison["sections"]
            for row in section["rows"]
            for difference in row["differences"].values()
        }
        assert verdicts <= {"not compared"}
    assert get(client, "/v1/leaderboard")["sections"]
    by_clean = get(client, "/v1/jobs?sort=-clean&limit=200")["data"]
    values = [(job["results"] or {}).get("best", {}).get("clean") for job in by_clean]
    known = [value for value in values if value is not None]
    assert len(by_clean) == len(upgraded.before["jobs"])
    assert known
