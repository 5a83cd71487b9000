"""A real API process, shared by the tests of one run; and the service of tests/api for those that need no process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import anonymous, client, engine, service, settings, start_service
from tests.intruders.rest import House, Wire, a_house

__all__ = ["anonymous", "client", "engine", "service", "settings", "start_service"]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    """As it is set up by default, with a data folder."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "offered").mkdir()
    os.environ.pop("DISTILL_ALLOWED_HOSTS", None)
    with a_house(sqlite_template, folder, data_folder=folder / "offered") as house:
        yield house


@pytest.fixture
def wire(house: House) -> Iterator[Wire]:
    found = Wire(house.service.port)
    yield found
    found.close()
