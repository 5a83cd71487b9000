"""Publishing what a trainer emits."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine

from core.job_folder import EpochCompleted, JobFolder, Measured, PhaseStarted, Progress
from core.settings import Settings
from core.store import project_events
from core.store.attempts import Attempt
from core.store.database.engine import read_session
from core.store.database.tables import DEFAULT_PROJECT, ProjectEventRow
from core.store.objects.store import Objects
from tests.builders import create_attempt, training_spec
from worker.outputs import Outputs


def make_outputs(attempt: Attempt, folder: JobFolder, tmp_path: Path) -> Outputs:
    folder.create(training_spec())
    objects = Objects.from_settings(Settings(home=tmp_path))
    return Outputs(objects, attempt, folder, 2, lambda: None)


def list_changes(engine: Engine) -> list[ProjectEventRow]:
    project_events.assign_numbers(engine, wait=True)
    with read_session(engine) as session:
        return project_events.list_after(session, [DEFAULT_PROJECT], 0, limit=1000)


def test_progress_is_recorded_once_a_second(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with every step. The job's row has each."""
    now = 100.0
    monkeypatch.setattr("worker.outputs.time", SimpleNamespace(monotonic=lambda: now))
    attempt = create_attempt(engine)
    folder = JobFolder(tmp_path / "job")
    outputs = make_outputs(attempt, folder, tmp_path)
    steps = []
    for step in range(1, 13):
        folder.emit(Progress(phase="training", step=step, of=12))
        outputs.publish_new_events()
        steps.append(list_changes(engine)[-1].data["progress"]["step"])
        now += 0.25
    assert steps == [1] * 4 + [5] * 4 + [9] * 4
    numbers = [row.seq or 0 for row in list_changes(engine)]
    assert len(numbers) == 3
    assert numbers[-1] == 5


def test_phases_epochs_and_results_are_changes(engine: Engine, tmp_path: Path) -> None:
    attempt = create_attempt(engine)
    folder = JobFolder(tmp_path / "job")
    outputs = make_outputs(attempt, folder, tmp_path)
    folder.emit(PhaseStarted(phase="training"))
    folder.emit(EpochCompleted(epoch=1, step=4, values={"loss": 1.0}))
    folder.emit(PhaseStarted(phase="evaluating"))
    folder.emit(Measured(network="best", name="clean", value=0.5))
    outputs.publish_new_events()
    rows = list_changes(engine)[2:]
    assert [(row.change, row.data["phase"]) for row in rows] == [
        ("phase", "training"),
        ("changed", "training"),
        ("phase", "evaluating"),
        ("results", "evaluating"),
    ]
