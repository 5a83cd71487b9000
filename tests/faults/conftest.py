"""Deployments to be broken, and figures of what is measured while they are."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import measurements
from tests.faults.deployment import Deployment
from tests.measurements import SOAK
from tests.servers import Redis

LONGEST_SECONDS = 3600
Figure = Callable[..., None]


@pytest.fixture
def served(
    tmp_path: Path, postgres_url: str, redis_server: Redis, redis_url: str, s3: dict[str, Any]
) -> Iterator[Deployment]:
    """On Postgres, Redis and S3. Nobody may kill or freeze these servers: others use them."""
    with Deployment.on_servers(tmp_path, postgres_url, redis_server, s3) as deployment:
        yield deployment


@pytest.fixture
def embedded(tmp_path: Path, sqlite_url: str) -> Iterator[Deployment]:
    """On SQLite and a folder."""
    with Deployment.on_files(tmp_path, sqlite_url) as deployment:
        yield deployment


@pytest.fixture(params=["served", "embedded"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    found: Deployment = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def figure(record_property: measurements.RecordProperty) -> Figure:
    """``figure("seconds until it runs again", 4.2, "at most 60")``: what was measured, and what is wanted at full length."""
    return partial(measurements.record_figure, record_property)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """At full length a test takes its time."""
    for item in items:
        if SOAK and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST_SECONDS), append=False)
