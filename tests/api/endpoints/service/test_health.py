"""Liveness, readiness and metrics of the service."""

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.settings import Settings
from core.store.access import keys
from core.store.database.engine import make_engine, migrate
from core.store.database.tables import DEFAULT_PROJECT
from tests.api.conftest import KEY, bearer, make_key
from tests.builders import create_attempt, create_job, training_body
from tests.servers import Postgres


def test_health_and_readiness_need_no_key(anonymous: TestClient) -> None:
    assert anonymous.get("/healthz").json() == {"status": "ok"}
    assert anonymous.get("/readyz").json() == {"status": "ready", "database": "ok", "objects": "ok"}


def test_metrics_count_responses_and_jobs(client: TestClient, engine: Engine) -> None:
    """Responses by route and status, jobs by status."""
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


def test_metrics_need_an_operator_key(anonymous: TestClient, engine: Engine) -> None:
    """They cover all projects."""
    assert anonymous.get("/metrics").status_code == 401
    assert (
        anonymous.get("/metrics", headers=make_key(engine, "read", "submit", "admin")).status_code
        == 403
    )
    assert anonymous.get("/metrics", headers=make_key(engine, "operator")).status_code == 200


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_unavailable_database_is_a_prompt_503(tmp_path: Path, fault: str) -> None:
    """Whether it is down or frozen; when it is back, so is the service."""
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
            start = time.monotonic()
            for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/readyz")):
                response = client.request(
                    method, path, json=training_body() if method == "POST" else None
                )
                assert (response.status_code, response.json()["code"]) == (503, "unavailable")
                assert int(response.headers["Retry-After"]) >= 1
            assert time.monotonic() - start < 3 * 4
            assert client.get("/healthz").status_code == 200
            if fault == "kill":
                server.start()
            else:
                server.thaw()
            responses = [client.get("/v1/jobs", params={"include_total": "true"}) for _ in range(3)]
            assert [response.status_code for response in responses[1:]] == [200, 200]
            assert responses[-1].json()["total"] == 1
    finally:
        server.thaw()
        server.close()


def test_unreachable_object_store_is_not_ready(settings: Settings, engine: Engine) -> None:
    nobody = {
        "objects_url": "s3://bucket",
        "s3_endpoint": "http://127.0.0.1:1",
        "s3_access_key_id": "a",
        "s3_secret_access_key": "b",
    }
    with TestClient(create_app(settings.model_copy(update=nobody)), headers=bearer(KEY)) as client:
        start = time.monotonic()
        response = client.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert time.monotonic() - start < 10
