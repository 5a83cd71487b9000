"""C5: killed at five different points and gone on with by the service, a job ends with the same bits (CPU, one thread)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from sqlalchemy import select

from core.job_folder import JobFolder, Progress
from core.jobspec.job import TrainingSpec
from core.store import artifacts
from core.store.database.engine import read_session
from core.store.database.tables import MetricRow
from tests.builders import training_spec
from tests.faults.places import Place, kill, on_a_folder
from tests.measurements import RecordProperty, record_figure
from tests.worker.service import get_job, submit, wait_for, wait_for_end

EPOCHS, STEPS_PER_EPOCH = 5, 3
"""230 of 256 images in batches of 64, the last of which is left out."""


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str) -> Iterator[Place]:
    with on_a_folder(tmp_path, sqlite_url) as found:
        yield found


def spec() -> TrainingSpec:
    """With everything that a checkpoint holds: an average of the weights, momentum, a measure that takes its time."""
    return training_spec(
        averaging={"name": "ema", "decay": 0.9},
        adversary={"name": "pgd", "radius": 0.1, "step_size": 0.02, "steps": 10},
        schedule={
            "epochs": EPOCHS,
            "batch_size": 64,
            "learning_rate": 0.1,
            "checkpoint_seconds": 0,
        },
        evaluation={
            "attacks": [{"name": "pgd", "radius": 0.1, "step_size": 0.02, "steps": 50}],
            "batch_size": 30,
        },
    )


def at_step(step: int) -> Callable[[Place, str], bool]:
    return lambda place, job_id: place.step(job_id) >= step


def after_an_epoch(place: Place, job_id: str) -> bool:
    return len(place.said(job_id, "epoch")) >= 2 and place.step(job_id) >= 2 * STEPS_PER_EPOCH


def inside_evaluation(place: Place, job_id: str) -> bool:
    """Some batches of the attack are done; both checkpoints that are kept are of the evaluation."""
    measuring = any(
        isinstance(it, Progress) and it.measure == "pgd" for it in present(place, job_id)
    )
    return (
        measuring
        and [it.step for it in place.checkpoints(job_id)] == [EPOCHS * STEPS_PER_EPOCH] * 2
    )


def while_exporting(place: Place, job_id: str) -> bool:
    with read_session(place.engine) as session:
        return any(
            it.name == "last.safetensors" for it in artifacts.list_artifacts(session, job_id)
        )


def present(place: Place, job_id: str) -> list[Any]:
    """What the trainer of the present attempt has said so far."""
    return JobFolder(
        place.home / "scratch" / "jobs" / f"{job_id}-{get_job(place.engine, job_id).attempt}"
    ).read_events()[0]


POINTS: dict[str, Callable[[Place, str], bool]] = {
    "in the first epoch": at_step(1),
    "after the second": after_an_epoch,
    "in the fourth": at_step(3 * STEPS_PER_EPOCH + 1),
    "inside evaluation": inside_evaluation,
    "while exporting": while_exporting,
}


def curves(place: Place, job_id: str) -> dict[tuple[str, int], float]:
    with read_session(place.engine) as session:
        return {
            (it.name, it.step): it.value
            for it in session.scalars(select(MetricRow).where(MetricRow.job_id == job_id))
        }


def hashes(place: Place, job_id: str) -> dict[str, str]:
    with read_session(place.engine) as session:
        return {it.name: it.sha256 for it in artifacts.list_artifacts(session, job_id, "weights")}


def results(place: Place, job_id: str) -> dict[str, Any]:
    found = get_job(place.engine, job_id).results or {}
    return {
        role: {name: it for name, it in values.items() if "seconds" not in name}
        for role, values in found.items()
    }


def last_checkpoint(place: Place, job_id: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Tensors (weights, best, average, momentum), and numbers, but for how long things took and how often it was saved."""
    row, path = place.checkpoints(job_id)[0], place.folder / "checkpoint"
    place.objects.fetch(row.object_key, path, row.size, row.sha256)
    with safe_open(path, framework="np") as file:
        tensors = {key: file.get_tensor(key).tobytes() for key in file.keys()}  # noqa: SIM118 - not a dict
        numbers = json.loads(file.metadata()["state"])
    timeless = {
        key: it
        for key, it in numbers.items()
        if key not in {"seconds", "joules", "saves", "measuring", "measured"}
    }
    return tensors, timeless


def test_c5_a_job_killed_at_five_points_ends_with_the_same_weights_optimizer_and_metrics(
    place: Place, record_property: RecordProperty
) -> None:
    killed = submit(place.engine, spec())
    for number, (where, reached) in enumerate(POINTS.items()):
        with place.worker(str(number)) as worker:
            wait_for(
                lambda number=number: get_job(place.engine, killed).attempt == number + 1,
                60,
                "a claim",
            )
            wait_for(
                lambda number=number: len(place.said(killed, "resumed")) == number,
                60,
                "where it goes on",
            )
            wait_for(lambda reached=reached: reached(place, killed), 60, where)
            kill(worker)
    undisturbed = submit(place.engine, spec())
    with place.worker("last"):
        jobs = [wait_for_end(place.engine, it) for it in (killed, undisturbed)]
    assert [(job.status, job.attempt) for job in jobs] == [
        ("succeeded", 1 + len(POINTS)),
        ("succeeded", 1),
    ]
    assert hashes(place, killed) == hashes(place, undisturbed)
    assert hashes(place, killed).keys() == {"best.safetensors", "last.safetensors"}
    assert last_checkpoint(place, killed) == last_checkpoint(place, undisturbed)
    assert curves(place, killed) == curves(place, undisturbed)
    assert ("loss", EPOCHS * STEPS_PER_EPOCH) in curves(place, killed)
    assert results(place, killed) == results(place, undisturbed)
    resumed = [event["step"] for event in place.said(killed, "resumed")]
    assert resumed == sorted(resumed)
    assert len(resumed) == len(POINTS)
    record_figure(
        record_property,
        "resumed at step",
        ", ".join(map(str, resumed)),
        f"five points of {EPOCHS * STEPS_PER_EPOCH} steps",
    )
