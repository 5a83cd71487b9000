from collections.abc import Iterator

import pytest

from distill_client.client import Distill
from tests.client.fake import Fake, client_of, running


@pytest.fixture
def fake() -> Iterator[Fake]:
    with running() as server:
        yield server


@pytest.fixture
def service(fake: Fake) -> Iterator[Distill]:
    with client_of(fake) as client:
        yield client
