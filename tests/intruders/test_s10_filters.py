"""S10: filters, sort keys and cursors are checked against allow-lists; anything else is a 422."""

import base64
import json
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi.testclient import TestClient

from api.app import create_app
from core.settings import Settings
from core.store.access import keys
from core.store.database.engine import make_engine
from core.store.database.tables import DEFAULT_PROJECT
from tests.api.conftest import KEY, bearer
from tests.intruders.installation import Installation
from tests.intruders.problems import assert_problem
from tests.intruders.raw_client import RawClient
from tests.measurements import RecordProperty

INJECTIONS = (
    "created_at;DROP TABLE jobs",
    "created_at DESC, (SELECT secret FROM api_keys)",
    "1 OR 1=1",
    "' OR ''='",
    "-created_at--",
    "random()",
    "name",
    "sha256",
    "__class__",
    "created_at,created_at",
    "CREATED_AT",
    "\u202ecreated_at",
    "{'$gt': ''}",
    "x" * 8000,
)
NUMBERS = ("-1", "0", "201", "1e3", "0x10", "1_0", "٣", " 5", "9" * 4000, "NaN", "1;", "")


def cursor(value: Any) -> str:
    """Encode any JSON value as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


CURSORS = (
    "x",
    "../../x",
    "' OR 1=1--",
    cursor([1, "a' OR '1'='1"]),
    cursor([10**30, "job_1"]),
    cursor([-1, "job_1"]),
    cursor(["1", "job_1"]),
    cursor([1.5, "job_1"]),
    cursor([None, None]),
    cursor([[1], {"a": 1}]),
    cursor([1, "A" * 100]),
    cursor({"created_at": 1}),
    cursor([1]),
    cursor([1, "job_1", 2]),
    "/" * 200,
    "A" * 201,
    "\0",
)
PAGED = (
    "/v1/jobs",
    "/v1/models",
    "/v1/datasets",
    "/v1/sweeps",
    "/v1/keys",
    "/v1/projects",
    "/v1/audit",
)


def hostile_queries() -> Iterator[str]:
    """Yield paths with a query. Each of them is invalid."""
    for text in INJECTIONS:
        value = quote(text, safe="")
        yield f"/v1/jobs?sort={value}"
        yield f"/v1/jobs?order={value}"
        yield f"/v1/jobs?{value}=1"
        yield f"/v1/jobs?status={value}"
        yield f"/v1/jobs?kind={value}"
        yield f"/v1/jobs?include_total={value}"
        yield f"/v1/jobs?metadata[{value}/]=1"
        yield f"/v1/audit?since={value}"
        yield f"/v1/jobs/x/artifacts?kind={value}"
        yield f"/v1/jobs/x/metrics?format={value}"
    for number in NUMBERS:
        for path in PAGED:
            yield f"{path}?limit={quote(number, safe='')}"
    for text in CURSORS:
        for path in (*PAGED, "/v1/architectures", "/v1/methods"):
            yield f"{path}?after={quote(text, safe='')}"
    yield "/v1/jobs?" + "&".join(f"metadata[k{number}]=v" for number in range(60))
    yield "/v1/jobs?" + "&".join("status=queued" for _ in range(101))
    yield "/v1/jobs?" + "&".join(f"p{number}=1" for number in range(101))
    yield "/v1/jobs?metadata[a=1"
    yield "/v1/jobs?metadata[]=1"
    yield "/v1/jobs?metadata[a]=" + "v" * 201
    yield "/v1/jobs?metadata[a]=%00"
    yield "/v1/jobs?sort=created_at&sort=name"


def hostile_results() -> Iterator[str]:
    """Yield paths that sort or filter by what is no result."""
    for text in INJECTIONS:
        value = quote(text, safe="")
        yield f"/v1/models?sort={value}"
        yield f"/v1/jobs?result[{value}]=>=0.5"
        yield f"/v1/jobs?result[clean]={value}"
        yield f"/v1/models?result[clean]=>={value}"
        yield f"/v1/leaderboard?norm={value}"
        yield f"/v1/leaderboard?radius={value}"
        yield f"/v1/jobs?format={value}"
    yield "/v1/jobs?" + "&".join(f"result[pgd-{n}@linf:0.1]=>0" for n in range(1, 40))
    yield "/v1/jobs?result[clean=>0"
    yield "/v1/jobs?q=%00"
    yield "/v1/jobs?q=" + "q" * 201
    yield "/v1/jobs?sort=clean&after=" + cursor(["value", "1", "job_1"])
    yield "/v1/jobs?sort=clean&after=" + cursor(["value", 1.5, "' OR 1=1"])
    yield "/v1/jobs?sort=clean&after=" + cursor(["time", 1.5, "job_1"])
    yield "/v1/jobs?after=" + cursor(["value", 1.5, "job_1"])


def test_s10_hostile_filters_sort_keys_and_cursors_are_a_422(
    installation: Installation, raw_client: RawClient, record_property: RecordProperty
) -> None:
    seconds = []
    for target in chain(hostile_queries(), hostile_results()):
        start = time.perf_counter()
        response = raw_client.request("GET", target)
        seconds.append(time.perf_counter() - start)
        assert response.status == 422, (target[:200], response)
        assert_problem(response)
    assert installation.client.get("/v1/jobs").status_code == 200
    installation.wait_for_audit_entry(code="unknown_parameter")
    installation.wait_for_audit_entry(code="invalid_cursor")
    record_property("queries", len(seconds))
    record_property("longest_ms", round(1000 * max(seconds)))
    record_property("median_ms", round(1000 * sorted(seconds)[len(seconds) // 2]))


def test_s10_free_text_filters_are_compared_not_executed(installation: Installation) -> None:
    client = installation.client
    for text in (*INJECTIONS[:5], "%", "_", "*", "\\"):
        for name in ("method", "student", "dataset", "sweep"):
            response = client.get("/v1/jobs", params={name: text})
            assert response.json()["data"] == [], (name, text)
        assert client.get("/v1/audit", params={"action": text}).json()["data"] == []
        assert client.get("/v1/jobs", params={"metadata[a]": text}).json()["data"] == []


def test_s10_postgres_refuses_the_same_queries(postgres_url: str, tmp_path: Path) -> None:
    """On Postgres, a NUL or bad UTF-8 in a text would also fail in the database itself."""
    settings = Settings(home=tmp_path, database_url=postgres_url)
    engine = make_engine(postgres_url)
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    with TestClient(create_app(settings), headers=bearer(KEY)) as client:
        for target in chain(hostile_queries(), hostile_results()):
            assert_problem(client.get(target))
        for text in (*INJECTIONS[:5], "%", "\\"):
            for name in ("method", "student", "dataset", "sweep", "metadata[a]"):
                assert client.get("/v1/jobs", params={name: text}).json()["data"] == []
        for name in ("method", "dataset", "metadata[a]"):
            assert_problem(client.get(f"/v1/jobs?{name}=%00"))
        for path in (
            "jobs/%00",
            "models/%00",
            "datasets/a%00",
            "jobs/x/artifacts/%00",
            "sweeps/%ff",
        ):
            assert_problem(client.get(f"/v1/{path}"))
    engine.dispose()
