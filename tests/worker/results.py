"""Jobs of a known length, and what an ended job must and must not have left."""

from pathlib import Path

from sqlalchemy import Engine, func, select

from core.jobspec.job import TrainingSpec
from core.store import artifacts, events
from core.store.database.engine import read_session
from core.store.database.tables import ArtifactRow, JobRow, ModelRow
from tests.builders import training_spec
from tests.worker.service import wait_for

FILES = [
    "MODEL_CARD.md",
    "best.safetensors",
    "last.safetensors",
    "per_class.png",
    "per_class.svg",
    "report.html",
    "report.json",
    "report.md",
    "training.png",
    "training.svg",
]


def endless_job() -> TrainingSpec:
    return training_spec(schedule={"epochs": 10_000, "batch_size": 64, "checkpoint_seconds": 0})


def short_job(epochs: int = 30) -> TrainingSpec:
    return training_spec(schedule={"epochs": epochs, "batch_size": 64, "checkpoint_seconds": 0})


def latest_checkpoint_step(engine: Engine, job_id: str) -> int:
    """Return the step of the newest checkpoint; 0 if there is none."""
    with read_session(engine) as session:
        checkpoints = artifacts.list_checkpoints(session, job_id)
    return checkpoints[0].step or 0 if checkpoints else 0


def resume_steps(engine: Engine, job_id: str) -> list[int]:
    """Return the step at which each later attempt resumed."""
    with read_session(engine) as session:
        return [event.data["step"] for event in events.list_of_type(session, job_id, "resumed")]


def assert_exactly_one_result(engine: Engine, job: JobRow) -> None:
    """There is one student, each file once, at most two checkpoints, and one final status."""
    with read_session(engine) as session:
        assert job.status == "succeeded", job.failure
        students = session.scalar(
            select(func.count()).select_from(ModelRow).where(ModelRow.source_job_id == job.id)
        )
        names = [
            artifact.name
            for artifact in session.scalars(select(ArtifactRow).where(ArtifactRow.job_id == job.id))
        ]
        ends = [
            event
            for event in events.list_of_type(session, job.id, "status")
            if event.data["to"] == "succeeded"
        ]
    assert students == len(ends) == 1
    assert sorted(name for name in names if not name.startswith("checkpoint")) == FILES
    assert sum(name.startswith("checkpoint") for name in names) in {1, 2}


def assert_nothing_left(scratch: Path, job_id: str = "job_") -> None:
    """No job folder is left of the job's attempts, or of any."""
    wait_for(lambda: not list((scratch / "jobs").glob(f"{job_id}*")), 15, "an empty scratch folder")
