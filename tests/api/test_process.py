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


def test_the_api_never_imports_torch_nor_celery_without_a_broker() -> None:
    program = "import sys; from api.app import create_app; create_app().openapi(); print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not set(HEAVY) & set(loaded)


def test_the_process_is_small_after_some_use_runs_on_uvloop_and_names_no_server(
    service: Service,
) -> None:
    for _ in range(20):
        assert service.client.post("/v1/jobs", json=training_body()).status_code == 201
        assert service.client.get("/v1/jobs").status_code == 200
    assert "server" not in service.client.get("/openapi.json").headers
    assert service.memory() < 150 * 2**20
    assert any(
        "uvloop" in entry.path for entry in psutil.Process(service.process.pid).memory_maps()
    )


def test_a_broker_that_is_down_costs_a_submission_less_than_2_s_and_nothing_else(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(broker_url="redis://127.0.0.1:1/0")
    for _ in range(3):
        answer: httpx2.Response = service.client.post("/v1/jobs", json=training_body(), timeout=5)
        assert answer.status_code == 201
        assert answer.elapsed.total_seconds() < 4
    assert service.client.get("/v1/jobs?include_total=true").json()["total"] == 3
