import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.settings import Settings
from core.store import keys
from core.store.database.engine import make_engine, migrate
from core.store.database.tables import DEFAULT_PROJECT
from tests.api.conftest import KEY, bearer, make_key
from tests.builders import create_job, create_attempt, training_body
from tests.servers import Postgres


def test_health_and_readiness_need_no_key(anonymous: TestClient) -> None:
    assert anonymous.get("/healthz").json() == {"status": "ok"}
    assert anonymous.get("/readyz").json() == {"status": "ready", "database": "ok", "objects": "ok"}


def test_metrics_count_answers_by_route_and_jobs_by_status(
    client: TestClient, engine: Engine
) -> None:
    create_job(engine)
    create_attempt(engine, create_job(engine))
    client.get("/v1/jobs/job_a")
    client.get("/v1/jobs/job_b")
    client.get("/nowhere/at/all")
    text = client.get("/metrics").text
    assert (
        'distill_http_requests_total{method="GET",route="/v1/jobs/{job_id}",status="404"} 2.0'
        in text
    )
    assert 'route="(none)",status="404"} 1.0' in text
    assert "job_a" not in text
    assert 'distill_http_request_seconds_count{method="GET",route="/v1/jobs/{job_id}"} 2.0' in text
    assert 'distill_jobs{status="queued"} 1.0' in text
    assert 'distill_jobs{status="running"} 1.0' in text
    assert 'distill_jobs{status="failed"} 0.0' in text


def test_metrics_are_of_all_projects_and_need_an_operators_key(
    anonymous: TestClient, engine: Engine
) -> None:
    assert anonymous.get("/metrics").status_code == 401
    assert (
        anonymous.get("/metrics", headers=make_key(engine, "read", "submit", "admin")).status_code
        == 403
    )
    assert anonymous.get("/metrics", headers=make_key(engine, "operator")).status_code == 200


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_database_that_is_down_or_frozen_is_a_503_in_time_and_comes_back(
    tmp_path: Path, fault: str
) -> None:
    server = Postgres()
    server.start()
    try:
        url = server.create_database("api")
        migrate(url)
        engine = make_engine(url)
        keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
        engine.dispose()
        with TestClient(
            create_app(Settings(home=tmp_path, database_url=url)), headers=bearer(KEY)
        ) as client:
            assert client.post("/v1/jobs", json=training_body()).status_code == 201
            getattr(server, fault)()
            began = time.monotonic()
            for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/readyz")):
                answer = client.request(
                    method, path, json=training_body() if method == "POST" else None
                )
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                assert int(answer.headers["Retry-After"]) >= 1
            assert time.monotonic() - began < 3 * 4
            assert client.get("/healthz").status_code == 200
            if fault == "kill":
                server.start()
            else:
                server.thaw()
            answers = [client.get("/v1/jobs", params={"include_total": "true"}) for _ in range(3)]
            assert [answer.status_code for answer in answers[1:]] == [200, 200]
            assert answers[-1].json()["total"] == 1
    finally:
        server.thaw()
        server.close()


def test_objects_that_cannot_be_reached_make_the_service_unready(
    settings: Settings, engine: Engine
) -> None:
    nobody = {
        "objects_url": "s3://bucket",
        "s3_endpoint": "http://127.0.0.1:1",
        "s3_access_key_id": "a",
        "s3_secret_access_key": "b",
    }
    with TestClient(create_app(settings.model_copy(update=nobody)), headers=bearer(KEY)) as client:
        began = time.monotonic()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert time.monotonic() - began < 10
