"""Services that a story of its own may change, stop and start."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.dashboard.services import DashboardService

PATIENCE_MS = 30_000
"""What is expected to be seen at once may take longer on a busy machine."""
PLAYWRIGHTS_OWN_MS = 5_000


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE_MS)
    yield
    expect.set_options(timeout=PLAYWRIGHTS_OWN_MS)


@pytest.fixture(scope="module")
def queueing_service(own_service: DashboardService) -> DashboardService:
    """``own_service``, whose worker claims nothing: a job stays queued until a test claims it."""
    with own_service.embedded.client() as client:
        for worker in client.workers():
            client.drain(worker.name)
    return own_service
