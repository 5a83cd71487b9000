from collections.abc import Iterator

import pytest

from distill_client import Distill
from tests.client.fake_server import FakeServer, make_client, run_fake_server


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with run_fake_server() as server:
        yield server


@pytest.fixture
def service(server: FakeServer) -> Iterator[Distill]:
    with make_client(server) as client:
        yield client
