"""C5: a job that is killed at five points and resumed gives the same bits (CPU, one thread)."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from safetensors import safe_open
from sqlalchemy import select

from core.job_folder import Event, JobFolder, Progress
from core.jobspec.job import TrainingSpec
from core.store import artifacts
from core.store.database.engine import read_session
from core.store.database.tables import MetricRow
from tests.builders import training_spec
from tests.faults.conftest import RecordFigure
from tests.faults.storage import Storage, kill_worker
from tests.worker.service import get_job, submit, wait_for, wait_for_end

EPOCHS = 5
STEPS_PER_EPOCH = 3
ATTACK = "pgd-50:step=0.02@linf:0.1"
"""230 of 256 images in batches of 64; the incomplete last batch is dropped."""


def job_spec() -> TrainingSpec:
    """A job whose checkpoints have every part: averaged weights, momentum, a slow measure."""
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


def at_step(step: int) -> Callable[[Storage, str], bool]:
    return lambda storage, job_id: storage.latest_step(job_id) >= step


def after_second_epoch(storage: Storage, job_id: str) -> bool:
    epochs = storage.event_data(job_id, "epoch")
    return len(epochs) >= 2 and storage.latest_step(job_id) >= 2 * STEPS_PER_EPOCH


def inside_evaluation(storage: Storage, job_id: str) -> bool:
    """Some batches of the attack are evaluated, and both checkpoints are the evaluation's."""
    is_measuring = any(
        isinstance(event, Progress) and event.measure == ATTACK
        for event in current_events(storage, job_id)
    )
    if not is_measuring:
        return False
    steps = [checkpoint.step for checkpoint in storage.list_checkpoints(job_id)]
    return steps == [EPOCHS * STEPS_PER_EPOCH] * 2


def while_exporting(storage: Storage, job_id: str) -> bool:
    with read_session(storage.engine) as session:
        rows = artifacts.list_artifacts(session, job_id)
    return any(row.name == "last.safetensors" for row in rows)


def current_events(storage: Storage, job_id: str) -> list[Event]:
    """Return what the trainer of the current attempt has emitted so far."""
    attempt = get_job(storage.engine, job_id).attempt
    folder = JobFolder(storage.home / "scratch" / "jobs" / f"{job_id}-{attempt}")
    return folder.read_events()[0]


KILL_POINTS: dict[str, Callable[[Storage, str], bool]] = {
    "in the first epoch": at_step(1),
    "after the second epoch": after_second_epoch,
    "in the fourth epoch": at_step(3 * STEPS_PER_EPOCH + 1),
    "inside evaluation": inside_evaluation,
    "while exporting": while_exporting,
}


def load_metrics(storage: Storage, job_id: str) -> dict[tuple[str, int], float]:
    with read_session(storage.engine) as session:
        rows = session.scalars(select(MetricRow).where(MetricRow.job_id == job_id))
        return {(row.name, row.step): row.value for row in rows}


def weights_digests(storage: Storage, job_id: str) -> dict[str, str]:
    with read_session(storage.engine) as session:
        rows = artifacts.list_artifacts(session, job_id, "weights")
    return {row.name: row.sha256 for row in rows}


def timeless_results(storage: Storage, job_id: str) -> dict[str, Any]:
    results = get_job(storage.engine, job_id).results or {}
    return {
        role: {name: value for name, value in values.items() if "seconds" not in name}
        for role, values in results.items()
    }


def load_last_checkpoint(storage: Storage, job_id: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return its tensors (weights, best, average, momentum) and the numbers of its state.

    Left out are how long things took and how often the job was saved.
    """
    row = storage.list_checkpoints(job_id)[0]
    path = storage.folder / "checkpoint"
    storage.objects.fetch(row.object_key, path, row.size, row.sha256)
    with safe_open(path, framework="np") as file:
        names = file.keys()
        tensors = {name: file.get_tensor(name).tobytes() for name in names}
        state = json.loads(file.metadata()["state"])
    timeless = {
        name: value
        for name, value in state.items()
        if name not in {"seconds", "joules", "saves", "measuring", "measured"}
    }
    return tensors, timeless


def kill_at_every_point(storage: Storage, job_id: str) -> None:
    for number, (name, is_reached) in enumerate(KILL_POINTS.items()):
        with storage.start_worker(str(number)) as worker:
            wait_for(partial(has_attempts, storage, job_id, number + 1), 60, "a claim")
            wait_for(partial(has_resumed, storage, job_id, number), 60, "the resumed step")
            wait_for(partial(is_reached, storage, job_id), 60, name)
            kill_worker(worker)


def has_attempts(storage: Storage, job_id: str, count: int) -> bool:
    return get_job(storage.engine, job_id).attempt == count


def has_resumed(storage: Storage, job_id: str, times: int) -> bool:
    return len(storage.event_data(job_id, "resumed")) == times


def test_c5_job_killed_at_five_points_gives_the_same_bits(
    folder_storage: Storage, record_figure: RecordFigure
) -> None:
    """Weights, last checkpoint with the optimizer's state, metrics and results are the same."""
    storage = folder_storage
    killed_id = submit(storage.engine, job_spec())
    kill_at_every_point(storage, killed_id)
    uninterrupted_id = submit(storage.engine, job_spec())
    with storage.start_worker("last"):
        jobs = [wait_for_end(storage.engine, job_id) for job_id in (killed_id, uninterrupted_id)]
    assert [(job.status, job.attempt) for job in jobs] == [
        ("succeeded", 1 + len(KILL_POINTS)),
        ("succeeded", 1),
    ]
    digests = weights_digests(storage, killed_id)
    assert digests == weights_digests(storage, uninterrupted_id)
    assert digests.keys() == {"best.safetensors", "last.safetensors"}
    assert load_last_checkpoint(storage, killed_id) == load_last_checkpoint(
        storage, uninterrupted_id
    )
    metrics = load_metrics(storage, killed_id)
    assert metrics == load_metrics(storage, uninterrupted_id)
    assert ("loss", EPOCHS * STEPS_PER_EPOCH) in metrics
    assert timeless_results(storage, killed_id) == timeless_results(storage, uninterrupted_id)
    resumed_steps = [event["step"] for event in storage.event_data(killed_id, "resumed")]
    assert resumed_steps == sorted(resumed_steps)
    assert len(resumed_steps) == len(KILL_POINTS)
    record_figure(
        "steps at which it was resumed",
        ", ".join(map(str, resumed_steps)),
        f"five points of {EPOCHS * STEPS_PER_EPOCH} steps",
    )
