"""A dry run says how long a job takes, how much memory it needs, and when it would start."""

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, update

from api.submission.cost.queue_estimate import ordinal
from api.submission.cost.time_estimate import describe_seconds
from core.hardware import Device, Gpu, Hardware
from core.settings import Settings
from core.store import workers
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import JobCostRow, MemoryEstimateRow
from core.store.estimates import memory_estimates
from tests.api.submission.cost.test_rates import row
from tests.builders import create_job, create_teacher, distillation_body, training_body
from worker.registration import Registration
from worker.resources.memory_estimator import MemoryEstimator

GIB = 2**30
SWEEP = {"base": training_body(), "axes": {"seed": [0, 1, 2]}}


def gpu_machine(name: str, memory: int) -> Hardware:
    return Hardware(
        device=Device(kind="cuda", name=name), gpus=[Gpu(name=name, memory_total=memory)]
    )


def register(engine: Engine, name: str, hardware: Hardware | None, **changes: Any) -> None:
    values = {"version": "1", "protocol": 99, "slots": 1, "lease_seconds": 60, **changes}
    with write_session(engine) as session:
        workers.register(session, name, hardware=hardware, **values)


def dry_run(client: TestClient, body: dict[str, Any] | None = None) -> dict[str, Any]:
    response = client.post("/v1/jobs?dry_run=true", json=body or training_body())
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def estimate(client: TestClient, body: dict[str, Any] | None = None) -> dict[str, Any]:
    result: dict[str, Any] = dry_run(client, body)["estimate"]
    return result


def answer(engine: Engine, size: int) -> None:
    with read_session(engine) as session:
        keys = session.scalars(select(MemoryEstimateRow.key)).all()
    for key in keys:
        memory_estimates.record(engine, key, size, {"networks": size})


def add_cost(engine: Engine, **changes: Any) -> None:
    """A finished job like the tiny one of tests.builders."""
    changes = {
        "device_name": "NVIDIA H200",
        "device_kind": "cuda",
        "student": {"architecture": "small_cnn", "width": 4, "normalization": "none"},
        "teacher": None,
        "method": "trades",
        "batch_size": 64,
        "image_side": 8,
        **changes,
    }
    with transaction(engine, FencedSession) as session:
        session.add(row(**changes))


# -- time


def test_time_is_unknown_until_a_job_has_finished(client: TestClient, engine: Engine) -> None:
    assert estimate(client)["time"] == []
    register(engine, "gpu-1", gpu_machine("NVIDIA H200", 150 * GIB))
    register(engine, "gpu-2", gpu_machine("NVIDIA H200", 150 * GIB))
    register(engine, "old", None)
    (time,) = estimate(client)["time"]
    assert (time["device"]["name"], time["workers"]) == ("NVIDIA H200", ["gpu-1", "gpu-2"])
    assert (time["seconds"], time["low"], time["n"]) == (None, None, 0)
    assert time["sentence"].startswith("Unknown yet on NVIDIA H200")


def test_time_is_learned_from_finished_jobs(client: TestClient, engine: Engine) -> None:
    register(engine, "gpu-1", gpu_machine("NVIDIA H200", 150 * GIB))
    register(engine, "gpu-2", gpu_machine("NVIDIA L4", 24 * GIB))
    for number in range(5):
        add_cost(engine, job_id=f"job_{number}")
    first, second = estimate(client)["time"]
    assert first["n"] == 5
    assert first["low"] < first["seconds"] < first["high"]
    assert first["based_on"] == "5 finished jobs on NVIDIA H200, small_cnn, fp32"
    assert second["seconds"] is None


def test_lost_workers_are_left_out(client: TestClient, engine: Engine) -> None:
    register(engine, "gpu-1", gpu_machine("NVIDIA H200", 150 * GIB), lease_seconds=-1)
    assert estimate(client)["time"] == []


def test_teacher_is_part_of_what_is_alike(client: TestClient, engine: Engine) -> None:
    create_teacher(engine)
    register(engine, "gpu-1", gpu_machine("NVIDIA H200", 150 * GIB))
    add_cost(engine, method="arkd")
    assert estimate(client, distillation_body())["time"][0]["seconds"] is None
    with write_session(engine) as session:
        teacher = {"architecture": "small_cnn", "width": 4, "normalization": "none"}
        session.execute(update(JobCostRow).values(teacher=teacher))
    assert estimate(client, distillation_body())["time"][0]["n"] == 1


# -- memory


def test_memory_is_pending_until_a_worker_answers(client: TestClient, engine: Engine) -> None:
    memory = estimate(client)["memory"]
    assert (memory["status"], memory["bytes"]) == ("pending", None)
    assert memory["sentence"] == "It will be worked out by a worker; none is alive."
    register(engine, "gpu-1", gpu_machine("NVIDIA L4", 24 * GIB))
    assert "ask again" in estimate(client)["memory"]["sentence"]
    answer(engine, 2 * GIB)
    memory = estimate(client)["memory"]
    assert (memory["status"], memory["bytes"], memory["fits"]) == ("known", 2 * GIB, ["gpu-1"])
    assert memory["sentence"] == "About 2.0 GiB; fits gpu-1."


def test_memory_that_no_worker_has_is_a_warning(client: TestClient, engine: Engine) -> None:
    register(engine, "gpu-1", gpu_machine("NVIDIA L4", 24 * GIB))
    register(engine, "old", None)
    assert dry_run(client)["warnings"] == []
    answer(engine, 40 * GIB)
    result = dry_run(client)
    assert result["estimate"]["memory"]["fits"] == []
    assert result["warnings"] == [
        "Memory: About 40.0 GiB; fits no worker you have: the largest has 24.0 GiB."
    ]


def test_unreported_memory_is_no_warning(client: TestClient, engine: Engine) -> None:
    register(engine, "old", None)
    dry_run(client)
    answer(engine, 40 * GIB)
    result = dry_run(client)
    assert (result["estimate"]["memory"]["fits"], result["warnings"]) == (None, [])


def test_equal_settings_are_asked_for_once(client: TestClient, engine: Engine) -> None:
    for seed in range(3):
        dry_run(client, training_body(seed=seed, name=f"job {seed}"))
    with read_session(engine) as session:
        assert len(session.scalars(select(MemoryEstimateRow)).all()) == 1


def test_worker_answers_what_a_dry_run_asks(
    client: TestClient, engine: Engine, settings: Settings
) -> None:
    dry_run(client)
    registration = Registration(settings, engine)
    assert MemoryEstimator(settings, engine, registration, threading.Event()).run()
    memory = estimate(client)["memory"]
    assert memory["status"] == "known"
    assert memory["bytes"] == sum(memory["parts"].values())


def test_evaluations_are_estimated(client: TestClient, engine: Engine) -> None:
    create_teacher(engine)
    body = {"kind": "evaluation", "model": "teacher", "data": {"dataset": "digits"}}
    assert estimate(client, body)["memory"]["status"] == "pending"


# -- queue, sweeps


@pytest.mark.parametrize(
    ("queued", "slots", "draining", "sentence"),
    [
        (0, 1, False, "It would start at once, with 1 worker."),
        (5, 1, False, "It would start 6th in line, with 1 worker."),
        (0, 1, True, "It would be 1st in line; no worker claims jobs at present."),
    ],
)
def test_queue_says_when_a_job_would_start(
    client: TestClient, engine: Engine, queued: int, slots: int, draining: bool, sentence: str
) -> None:
    register(engine, "gpu-1", None, slots=slots)
    if draining:
        with write_session(engine) as session:
            workers.set_draining(session, "gpu-1")
    for _ in range(queued):
        create_job(engine)
    queue = estimate(client)["queue"]
    assert (queue["position"], queue["sentence"]) == (queued + 1, sentence)


def test_sweep_sums_up_its_jobs(client: TestClient, engine: Engine) -> None:
    register(engine, "gpu-1", gpu_machine("NVIDIA H200", 150 * GIB))
    add_cost(engine)
    (single,) = estimate(client)["time"]
    response = client.post("/v1/sweeps?dry_run=true", json=SWEEP)
    assert response.status_code == 200, response.text
    sweep = response.json()
    (time,) = sweep["estimate"]["time"]
    assert time["seconds"] == pytest.approx(3 * single["seconds"], abs=0.2)
    assert time["high"] == pytest.approx(3 * single["high"], abs=0.2)
    assert sweep["estimate"]["memory"]["status"] == "pending"
    answer(engine, 200 * GIB)
    sweep = client.post("/v1/sweeps?dry_run=true", json=SWEEP).json()
    assert "fits no worker you have" in sweep["warnings"][0]


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (21, "21st"), (112, "112th")],
)
def test_ordinals(number: int, text: str) -> None:
    assert ordinal(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "less than 1 s"),
        (119, "119 s"),
        (720, "12 min"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text
