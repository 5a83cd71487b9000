"""A real API process that the tests of a run share, and the service of tests/api."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import anonymous, client, engine, service, settings, start_service
from tests.intruders.installation import Installation, start_installation
from tests.intruders.raw_client import RawClient

__all__ = ["anonymous", "client", "engine", "service", "settings", "start_service"]


@pytest.fixture(scope="session")
def installation(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Installation]:
    """An installation with default settings, except that it has a data folder."""
    folder = tmp_path_factory.mktemp("installation")
    (folder / "offered").mkdir()
    # The process inherits this environment: the hosts of TestClient are not allowed by default.
    os.environ.pop("DISTILL_ALLOWED_HOSTS", None)
    with start_installation(
        sqlite_template, folder, data_folder=folder / "offered"
    ) as installation:
        yield installation


@pytest.fixture
def raw_client(installation: Installation) -> Iterator[RawClient]:
    client = RawClient(installation.service.port)
    yield client
    client.close()
