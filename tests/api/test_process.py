"""The service as a process: what it imports, its memory, an unreachable broker."""

import subprocess
import sys
from collections.abc import Callable

import httpx2
import psutil

from tests.api.conftest import Service
from tests.builders import training_body

HEAVY = (
    "torch",
    "torchvision",
    "sklearn",
    "scipy",
    "numpy",
    "celery",
    "kombu",
    "redis",
    "fastapi_offline",
    "PIL",
)


def test_api_imports_neither_torch_nor_celery() -> None:
    """Celery only where a broker is configured."""
    program = (
        "import sys; from api.app import create_app; create_app().openapi(); "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not set(HEAVY) & set(loaded)


def test_process_is_small_and_runs_on_uvloop(
    service: Service,
) -> None:
    """After some use, too; its responses do not name the server."""
    for _ in range(20):
        assert service.client.post("/v1/jobs", json=training_body()).status_code == 201
        assert service.client.get("/v1/jobs").status_code == 200
    assert "server" not in service.client.get("/openapi.json").headers
    assert service.memory() < 150 * 2**20
    assert any(
        "uvloop" in entry.path for entry in psutil.Process(service.process.pid).memory_maps()
    )


def test_unreachable_broker_delays_submission_by_under_2_s(
    start_service: Callable[..., Service],
) -> None:
    """Nothing else changes."""
    service = start_service(broker_url="redis://127.0.0.1:1/0")
    for _ in range(3):
        response: httpx2.Response = service.client.post("/v1/jobs", json=training_body(), timeout=5)
        assert response.status_code == 201
        assert response.elapsed.total_seconds() < 4
    assert service.client.get("/v1/jobs?include_total=true").json()["total"] == 3
