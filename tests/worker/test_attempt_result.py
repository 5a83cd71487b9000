"""Saving how an attempt ended."""

from pathlib import Path

from sqlalchemy import Engine, update

from core.errors import JobFailed
from core.job_folder import JobFolder
from core.settings import Settings
from core.store.database.engine import read_session, write_session
from core.store.database.tables import JobRow
from core.store.objects.store import Objects
from tests.builders import create_attempt
from worker.attempt_result import AttemptResult
from worker.outputs import Outputs


def test_a_job_whose_spec_cannot_be_read_fails_for_good(engine: Engine, tmp_path: Path) -> None:
    """A newer program may have written it. The last failure is saved without reading it again."""
    settings = Settings(home=tmp_path, max_attempts=1)
    objects = Objects.from_settings(settings)
    attempt = create_attempt(engine)
    with write_session(engine) as session:
        session.execute(update(JobRow).values(spec={"kind": "of another program"}))
    outputs = Outputs(objects, attempt, JobFolder(tmp_path / "job"), 2, lambda: None)
    result = AttemptResult(settings, objects, attempt, outputs)
    result.save_failure(JobFailed("worker_error", "infrastructure", "The worker failed."))
    with read_session(engine) as session:
        assert session.get_one(JobRow, attempt.job_id).status == "failed"
