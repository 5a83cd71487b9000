"""Fixtures: deployments to inject faults into, and the recording of measured figures."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests import measurements
from tests.faults.deployment import Deployment
from tests.faults.storage import Storage, open_folder_storage, open_s3_storage
from tests.measurements import SOAK
from tests.servers import S3, Redis

SOAK_TEST_TIMEOUT_SECONDS = 3600


class RecordFigure(Protocol):
    """``record_figure("seconds until the job restarts", 4.2, "at most 60")``.

    The figure's name, the measured value, and the bound that it has at full length.
    """

    def __call__(self, name: str, value: float | str, bound: str = "") -> None: ...


@pytest.fixture
def server_deployment(
    tmp_path: Path, postgres_url: str, redis_server: Redis, redis_url: str, s3: dict[str, Any]
) -> Iterator[Deployment]:
    """On Postgres, Redis and S3. Other tests share these servers: do not kill or freeze them."""
    with Deployment.on_servers(tmp_path, postgres_url, redis_server, s3) as deployment:
        yield deployment


@pytest.fixture
def embedded_deployment(tmp_path: Path, sqlite_url: str) -> Iterator[Deployment]:
    """On SQLite and a folder."""
    with Deployment.embedded(tmp_path, sqlite_url) as deployment:
        yield deployment


@pytest.fixture(params=["server", "embedded"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    deployment: Deployment = request.getfixturevalue(f"{request.param}_deployment")
    return deployment


@pytest.fixture
def folder_storage(tmp_path: Path, sqlite_url: str) -> Iterator[Storage]:
    """SQLite and a folder."""
    with open_folder_storage(tmp_path, sqlite_url) as storage:
        yield storage


@pytest.fixture
def s3_storage(
    tmp_path: Path, postgres_url: str, s3_server: S3, s3: dict[str, Any]
) -> Iterator[Storage]:
    """Postgres and S3 behind a proxy. Other tests share these servers: do not kill or freeze."""
    with open_s3_storage(tmp_path, postgres_url, s3_server, s3) as storage:
        yield storage


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    storage: Storage = request.getfixturevalue(f"{request.param}_storage")
    return storage


@pytest.fixture
def record_figure(record_property: measurements.RecordProperty) -> RecordFigure:
    return partial(measurements.record_figure, record_property)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder a longer timeout at full length."""
    for item in items:
        if SOAK and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SOAK_TEST_TIMEOUT_SECONDS), append=False)
